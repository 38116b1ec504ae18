import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import { addressOf, connectRedis, type RedisTarget } from '../../redis/connection.ts';
import { readJournal } from '../journal.ts';
import { linkJournalPath, type Undone, undoLink } from './link-journal.ts';

/** How long a load that lost its source may take to be given up, in milliseconds. */
const undoPatienceMs = 60_000;
const undoAnswerMs = 10_000;

/**
 * Undoes what an earlier, killed call left at this target: to be called when an agent starts, and by `check`.
 *
 * @throws STREAM_NOT_UNDONE where there is something to undo and the server cannot be reached or refuses
 */
export async function cleanUpAsPrimary(target: RedisTarget, home: string): Promise<Undone> {
  const path = linkJournalPath(home, target);
  if ((await readJournal(path)) === undefined) return 'nothing-to-undo';
  for (const deadline = performance.now() + undoPatienceMs; ; await sleep(200)) {
    try {
      return await undoOnce(target, path);
    } catch (cause) {
      const said = (cause as Error).message;
      // A load that lost its source is given up by the server itself; until then it takes no such command.
      const isLoading = said.startsWith('LOADING') || (cause instanceof RewindError && cause.code === 'REDIS_LOADING');
      if (isLoading && performance.now() < deadline) continue;
      throw new RewindError(
        'STREAM_NOT_UNDONE',
        `Redis at ${addressOf(target)} could not be put back as it was: ${said}`,
        { cause },
      );
    }
  }
}

async function undoOnce(target: RedisTarget, path: string): Promise<Undone> {
  const redis = await connectRedis(target, { commandTimeoutMs: undoAnswerMs });
  try {
    return await undoLink(redis, path);
  } finally {
    redis.disconnect();
  }
}
