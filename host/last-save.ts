import { RewindError } from '../errors/rewind-error.ts';
import { addressOf, type RedisTarget, withRedis } from '../redis/connection.ts';
import { readInfo } from '../redis/info.ts';
import { askLoadState } from './loading-progress.ts';
import type { LastSave } from './service.ts';

/**
 * Sees to it that the server writes a last dump, or none, when it is told to end: whoever ends it (systemd, a command, a
 * signal) cannot say so. Nothing of it outlives the server: a setting made live is gone with it.
 *
 * @throws HOST_SERVER_NOT_STOPPED when the save that was asked for fails: the server goes on
 */
export async function prepareEnd(target: RedisTarget, lastSave: LastSave): Promise<void> {
  if (lastSave === 'as-configured') return;
  // One that still loads has nothing to save, and does not.
  if ((await askLoadState(target)).state === 'loading') return;
  await withRedis(target, async (redis) => {
    if (lastSave === 'never') {
      await redis.config('SET', 'save', '');
      return;
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
  });
}
