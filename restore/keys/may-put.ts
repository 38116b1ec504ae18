import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { refusal } from './pipeline.ts';

/**
 * Tries the commands that put keys in a way that puts none: SET … XX where there is no key, RESTORE of what is no payload.
 * Without it, a user who may run only one of them would restore a part.
 *
 * @throws RESTORE_TARGET_FORBIDS with the server's words
 */
export async function assertMayPut(redis: Redis, address: string): Promise<void> {
  const key = `redis-rewind:nothing:${randomUUID()}`;
  for (const [name, ...args] of [
    ['SET', key, '', 'XX'],
    ['RESTORE', key, '0', ''],
  ] as const) {
    const words = await redis.call(name, ...args).then(
      () => '',
      (error: Error) => error.message,
    );
    // Not a key's pattern: the keys of the dump may be others.
    if (/^NOPERM .* run the /s.test(words)) throw refusal(address, words);
  }
}
