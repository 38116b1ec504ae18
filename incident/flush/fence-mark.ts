import { randomUUID } from 'node:crypto';
import type { AofCommand } from '../../aof/command.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { type RedisTarget, withRedis } from '../../redis/connection.ts';
import { redisTimeMs } from '../../redis/info.ts';

/** A transaction of our own in the append-only file: what was acknowledged before it stands before it. */
export interface FenceMark {
  readonly key: string;
  /** When it was written, Unix ms by Redis' clock. */
  readonly timeMs: number;
}

const prefix = 'rewind:mark:';
const nameBytes = prefix.length + 36;

/**
 * Sets a key and removes it again in one transaction. Nobody sees it, and no key of anybody has its name; but it stands in
 * the append-only file behind everything that was written before, and before everything that is written after it.
 *
 * @throws FLUSH_REPLAY_MARK_REFUSED
 */
export async function writeMark(target: RedisTarget): Promise<FenceMark> {
  const key = `${prefix}${randomUUID()}`;
  return withRedis(target, async (redis) => {
    const timeMs = await redisTimeMs(redis);
    const answers = await redis
      .multi()
      .set(key, '')
      .del(key)
      .exec()
      .catch((error: Error) => [[error, undefined] as const]);
    const refused = answers?.find(([error]) => error)?.[0];
    if (!answers || refused) {
      throw new RewindError(
        'FLUSH_REPLAY_MARK_REFUSED',
        `Redis refused to write the mark that a replay goes up to: ${refused?.message ?? 'the transaction was dropped'}.`,
      );
    }
    return { key, timeMs };
  });
}

/** True for the command of any mark that names it. */
export function isMark(command: AofCommand, key?: string): boolean {
  if (command.held < 2 || command.argumentEnd[1]! - command.argumentStart[1]! !== nameBytes) return false;
  if (!(command.is('set') || command.is('del'))) return false;
  const name = command.copyArgument(1)?.toString('latin1') ?? '';
  return key === undefined ? name.startsWith(prefix) : name === key;
}
