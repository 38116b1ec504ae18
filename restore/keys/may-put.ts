import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { refusal } from './pipeline.ts';

/**
 * Tries a RESTORE of what is no payload, which puts nothing. Without it, a user who may put strings only would restore a
 * part.
 *
 * @throws RESTORE_TARGET_FORBIDS with the server's words
 */
export async function assertMayPut(redis: Redis, address: string): Promise<void> {
  const words = await redis.restore(`redis-rewind:nothing:${randomUUID()}`, 0, '').then(
    () => '',
    (error: Error) => error.message,
  );
  // Not a key's pattern: the keys of the dump may be others.
  if (/^NOPERM .* run the /s.test(words)) throw refusal(address, words);
}
