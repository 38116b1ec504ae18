import { createWriteStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { InstanceContext } from '../backup/instance-context.ts';
import type { StepIO } from '../process/step-io.ts';
import { walkRdb } from '../rdb/walk.ts';
import { withRedis } from '../redis/connection.ts';
import { readInfo } from '../redis/info.ts';
import { keyLine } from './compare/key-line.ts';
import { Partitions, partitionCount } from './diff/partitions.ts';
import { loginOf, untilFencedAgain } from './migrate-keys.ts';
import type { RestorePoint } from './restore-point.ts';
import { type RestoreSubject, restoreDirectory } from './restore-subject.ts';
import { restoreFolder, stageDump } from './staged-dump.ts';

export interface RemovedBeyond {
  readonly keys: number;
  /** Name in the repository of the list of them; absent where there were none. */
  readonly file?: string;
}

const scanKeys = 500;

/**
 * Removes what is live and not in a backup, so that what is live is the backup and no more. A key that is in there with an
 * expiry that has passed stays as it is live. Nobody else may write meanwhile. Memory does not grow with the number of keys;
 * names are written down, and stored, before the first key goes. Done twice it is the same.
 *
 * @throws those of `stageDump`; REDIS_…
 */
export async function removeBeyond(
  context: InstanceContext,
  subject: RestoreSubject,
  point: RestorePoint,
  io: StepIO,
): Promise<RemovedBeyond> {
  const { repository, home } = context;
  const target = await loginOf(context, subject);
  const folder = restoreFolder(home, subject.restoreId);
  const path = await stageDump(repository, folder, point, io);
  const work = join(folder, 'beyond');
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true, mode: 0o700 });
  const sides = [new Partitions(work, 'live'), new Partitions(work, 'dump')] as const;
  const [live, dump] = sides;
  try {
    const key = (entry: { db: number; copyKey(): Buffer }) => {
      dump.add({ db: entry.db, key: entry.copyKey(), expireAtMs: -1, digest: undefined });
      return null;
    };
    await walkRdb({ path }, { key }, { signal: io.signal });
    dump.end();
    return await withRedis(target, async (redis) => {
      await eachLiveKey(redis, io, (db, name) => live.add({ db, key: name, expireAtMs: -1, digest: undefined }));
      live.end();
      const namesFile = join(work, 'names.jsonl');
      const { size, keys } = await writeNames(namesFile, sides, io);
      if (keys === 0) return { keys };
      // Each attempt has its own: names in the repository are never overwritten.
      const file = `${restoreDirectory(subject)}removed-${Date.now()}.jsonl`;
      await repository.putFile(file, { path: namesFile }, { sizeBytes: size, signal: io.signal });
      await unlinkBeyond(redis, sides, io);
      return { keys, file };
    });
  } catch (error) {
    throw subject.fenceId === undefined ? error : untilFencedAgain(error);
  } finally {
    for (const side of sides) side.close();
    await rm(work, { recursive: true, force: true });
  }
}

type Sides = readonly [live: Partitions, dump: Partitions];

function* beyond([live, dump]: Sides, io: StepIO): Generator<{ db: number; key: Buffer }> {
  for (let partition = 0; partition < partitionCount; partition += 1) {
    io.signal.throwIfAborted();
    const kept = dump.read(partition);
    for (const [id, { db, key }] of live.read(partition)) if (!kept.has(id)) yield { db, key };
  }
}

async function writeNames(path: string, sides: Sides, io: StepIO): Promise<{ keys: number; size: number }> {
  const out = createWriteStream(path, { mode: 0o600 });
  let keys = 0;
  for (const { db, key } of beyond(sides, io)) {
    keys += 1;
    if (!out.write(keyLine(db, key, {}))) await new Promise<void>((resolve) => out.once('drain', () => resolve()));
  }
  await new Promise<void>((resolve, reject) => {
    out.once('error', reject);
    out.end(resolve);
  });
  return { keys, size: (await stat(path)).size };
}

async function unlinkBeyond(redis: Redis, sides: Sides, io: StepIO): Promise<void> {
  let batch: Buffer[] = [];
  let selected = -1;
  const unlink = async () => {
    if (batch.length > 0) await redis.unlink(...batch);
    batch = [];
  };
  for (const { db, key } of beyond(sides, io)) {
    if (db !== selected || batch.length >= scanKeys) {
      await unlink();
      if (db !== selected) await redis.select(db);
      selected = db;
    }
    batch.push(key);
  }
  await unlink();
}

async function eachLiveKey(redis: Redis, io: StepIO, onKey: (db: number, name: Buffer) => void): Promise<void> {
  for (const field of Object.keys(await readInfo(redis, 'keyspace'))) {
    const [, digits] = /^db(\d+)$/.exec(field) ?? [];
    if (digits === undefined) continue;
    const db = Number(digits);
    await redis.select(db);
    let cursor = '0';
    do {
      io.signal.throwIfAborted();
      const [next, names] = (await redis.callBuffer('SCAN', cursor, 'COUNT', scanKeys)) as [Buffer, Buffer[]];
      cursor = next.toString();
      for (const name of names) onKey(db, name);
    } while (cursor !== '0');
  }
}
