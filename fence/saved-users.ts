import { readFile } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { Redis } from 'ioredis';
import type { RedisTarget } from '../redis/connection.ts';
import { readInfo } from '../redis/info.ts';

/** Files of more than this are no lists of users. */
const FILE_BYTES = 64 * 1024 * 1024;

/** A file in which a restart would find the fence, and the command that writes it anew. */
interface UserFile {
  readonly path: string;
  readonly command: readonly ['ACL', 'SAVE'] | readonly ['CONFIG', 'REWRITE'];
}

/**
 * Saves the users where they were saved while they were fenced (ACL SAVE, or CONFIG REWRITE without an aclfile, which a
 * Sentinel does by itself); otherwise a restart would bring the fence back. Nothing is saved that nobody had saved.
 *
 * @param ownUser its name in a file says that the file was written during the fence
 * @returns what was done, or could not be, in sentences
 */
export async function saveUsersWhereSaved(redis: Redis, target: RedisTarget, ownUser: string): Promise<string[]> {
  const said: string[] = [];
  for (const { path, command } of await userFiles(redis)) {
    const words = command.join(' ');
    const content = await contentOf(path);
    if (content === undefined && !isLocal(target)) {
      said.push(`${path} cannot be read from here: if ${words} was run during the fence, run it again.`);
    } else if (content === undefined) {
      said.push(`${path} cannot be read by this user: if ${words} was run during the fence, run it again.`);
    } else if (content.includes(`user ${ownUser} `)) {
      said.push(
        await redis.call(command[0], command[1]).then(
          () => `The fence had been saved in ${path}; ${words} wrote the users from before.`,
          (error) =>
            `The fence was saved in ${path}, and ${words} failed (${reasonOf(error)}): run it, or a restart brings the fence back.`,
        ),
      );
    }
  }
  return said;
}

async function userFiles(redis: Redis): Promise<UserFile[]> {
  const setting = async (name: string) =>
    ((await redis.call('CONFIG', 'GET', name).catch(() => [])) as string[])[1] ?? '';
  const aclFile = await setting('aclfile');
  if (aclFile !== '') {
    const path = isAbsolute(aclFile) ? aclFile : join(await setting('dir'), aclFile);
    return [{ path, command: ['ACL', 'SAVE'] }];
  }
  const configFile = (await readInfo(redis, 'server')).config_file ?? '';
  return configFile === '' ? [] : [{ path: configFile, command: ['CONFIG', 'REWRITE'] }];
}

async function contentOf(path: string): Promise<string | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  return bytes && bytes.length <= FILE_BYTES ? bytes.toString('latin1') : undefined;
}

function isLocal({ url }: RedisTarget): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'unix:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
}

/** The first word of an error says its kind; the rest may quote a rule. */
const reasonOf = (error: unknown): string => (error instanceof Error ? (error.message.split(' ')[0] ?? '') : 'unknown');
