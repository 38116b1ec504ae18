import { RewindError } from '../errors/rewind-error.ts';
import { addressOf, type RedisTarget, withRedis } from '../redis/connection.ts';
import { readInfo } from '../redis/info.ts';
import { askLoadState } from './loading-progress.ts';
import type { LastSave } from './service.ts';

/**
 * Ends the server, having seen to it that it writes a last dump, or none: whoever ends it (systemd, a command, a signal) cannot
 * say so. A setting made live is gone with the server; where that does not end it is put back.
 *
 * @param end returns when the server has ended
 * @throws HOST_SERVER_NOT_STOPPED when the save that was asked for fails: the server goes on; what `end` throws
 */
export async function endWith(lastSave: LastSave, target: RedisTarget, end: () => Promise<void>): Promise<void> {
  const savePoints = await prepareEnd(target, lastSave);
  try {
    await end();
  } catch (error) {
    // One that has ended all the same does not answer any more.
    if (savePoints) {
      await withRedis(target, (redis) => redis.config('SET', 'save', savePoints)).catch(() => undefined);
    }
    throw error;
  }
}

/** @returns the save points that it took away */
async function prepareEnd(target: RedisTarget, lastSave: LastSave): Promise<string | undefined> {
  if (lastSave === 'as-configured') return undefined;
  // One that still loads has nothing to save, and does not.
  if ((await askLoadState(target)).state === 'loading') return undefined;
  return withRedis(target, async (redis) => {
    if (lastSave === 'never') {
      const [, savePoints] = (await redis.config('GET', 'save')) as string[];
      await redis.config('SET', 'save', '');
      return savePoints;
    }
    await redis.save().catch(async (cause: Error) => {
      const info = await readInfo(redis, 'persistence');
      const status = info.rdb_bgsave_in_progress === '1' ? 'a background save is running' : cause.message;
      throw new RewindError(
        'HOST_SERVER_NOT_STOPPED',
        `Redis at ${addressOf(target)} could not save before its end, and was not stopped: ${status}`,
        { cause },
      );
    });
    return undefined;
  });
}
