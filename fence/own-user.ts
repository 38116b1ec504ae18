import { createHash, randomBytes } from 'node:crypto';
import { chmod, link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import { connectRedis, type RedisTarget } from '../redis/connection.ts';
import { ownUserOf } from './fence-record.ts';
import { readUsers, setUsers } from './users.ts';

/** The product's own user while an instance is fenced. */
export interface OwnUser {
  readonly instance: string;
  readonly fenceId: string;
  /** Folder of this role, open to nobody else. */
  readonly home: string;
}

/**
 * The login that may write while everybody else is fenced. Every step of the same role, and of the same home, gets the
 * same one.
 *
 * @throws FENCE_UNKNOWN where this role has no password of it: fence again, then it has
 */
export async function ownLogin(target: RedisTarget, own: OwnUser): Promise<RedisTarget> {
  const password = await readSecret(own);
  if (password === undefined) {
    throw new RewindError('FENCE_UNKNOWN', `This role holds no login of the fence ${own.fenceId} of ${own.instance}.`);
  }
  return { ...target, url: urlAs(target.url, ownUserOf(own.instance, own.fenceId)), password };
}

/**
 * Makes the own user, or gives it its password and rights again. Only the password's hash goes to the server; the
 * password is on disk before, so that a process that is killed between leaves nothing that the next cannot use.
 */
export async function makeOwnUser(redis: Redis, target: RedisTarget, own: OwnUser): Promise<RedisTarget> {
  const password = (await readSecret(own)) ?? (await newSecret(own));
  const hash = createHash('sha256').update(password).digest('hex');
  // Channels have rules since Redis 6.2.
  const channels = (await readUsers(redis, target)).some(({ tokens }) => tokens.some((token) => token.startsWith('&')));
  const rules = ['reset', 'on', `#${hash}`, '~*', ...(channels ? ['&*'] : []), '+@all'];
  await setUsers(redis, target, [{ name: ownUserOf(own.instance, own.fenceId), rules }]);
  return ownLogin(target, own);
}

/** A connection as the own user, which is made (again) where it is not there as this role knows it. */
export async function connectAsOwn(redis: Redis, target: RedisTarget, own: OwnUser): Promise<Redis> {
  if ((await readSecret(own)) !== undefined) {
    try {
      return await connectRedis(await ownLogin(target, own));
    } catch (error) {
      if (!(error instanceof RewindError && error.code === 'REDIS_REFUSED_LOGIN')) throw error;
    }
  }
  return connectRedis(await makeOwnUser(redis, target, own));
}

export async function forgetSecret(own: OwnUser): Promise<void> {
  const folder = join(own.home, 'fence');
  const [, name = ''] = secretFile(own).split(`${folder}/`);
  const files = await readdir(folder).catch(() => []);
  // With what a process left that was killed while it wrote one.
  const ours = files.filter((file) => file.startsWith(name));
  await Promise.all(ours.map((file) => rm(join(folder, file), { force: true })));
}

function secretFile({ instance, fenceId, home }: OwnUser): string {
  return join(home, 'fence', `${ownUserOf(instance, fenceId)}.secret`);
}

async function readSecret(own: OwnUser): Promise<string | undefined> {
  const text = await readFile(secretFile(own), 'latin1').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  return text !== undefined && /^[0-9a-f]{64}$/.test(text) ? text : undefined;
}

async function newSecret(own: OwnUser): Promise<string> {
  const file = secretFile(own);
  const folder = join(own.home, 'fence');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const half = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(half, randomBytes(32).toString('hex'), { mode: 0o600, flag: 'wx' });
  // Never over one that another attempt has put there: its user is in use.
  await link(half, file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(half);
  return (await readSecret(own)) ?? fail(file);
}

function fail(file: string): never {
  throw new RewindError('FENCE_RECORD_INVALID', `${file} holds no password of a fence; remove it, and one is made.`);
}

function urlAs(url: string, user: string): string {
  const parsed = new URL(url);
  // A user stands before a host only; that of a socket is never looked at.
  if (parsed.protocol === 'unix:') return `unix://${user}@localhost${parsed.pathname}`;
  parsed.username = user;
  parsed.password = '';
  return parsed.href;
}
