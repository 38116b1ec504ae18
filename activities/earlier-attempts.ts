import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../errors/rewind-error.ts';

/** What each step of a run has under way in this process. */
const underWay = new Map<string, Promise<unknown>>();

/** An attempt that is told that it is over ends in seconds; one that does not must not be joined by another, in milliseconds. */
const PATIENCE_MS = 60_000;

/**
 * Runs an attempt of a step once the earlier ones in this process have ended. A process that stood still, or was cut off
 * from Temporal, is taken for dead and the step given out again: when it goes on, it has both. Side by side one would undo
 * or take for its own what the other one does.
 *
 * @param key of the step in its run
 * @throws STEP_STILL_RUNNING
 */
export async function afterEarlierAttempts<T>(
  key: string,
  { signal, patienceMs = PATIENCE_MS }: { signal: AbortSignal; patienceMs?: number },
  run: () => Promise<T>,
): Promise<T> {
  const earlier = underWay.get(key);
  const attempt = (async () => {
    if (earlier && !(await endsWithin(earlier, patienceMs, signal))) {
      throw new RewindError('STEP_STILL_RUNNING', `An earlier attempt of ${key} has not ended in this process.`);
    }
    signal.throwIfAborted();
    return run();
  })();
  // Whoever comes later waits for all of them: one that gave up waiting says nothing about those before it.
  const all = Promise.allSettled([earlier, attempt]);
  underWay.set(key, all);
  all.then(() => underWay.get(key) === all && underWay.delete(key));
  return attempt;
}

async function endsWithin(earlier: Promise<unknown>, ms: number, signal: AbortSignal): Promise<boolean> {
  const waited = new AbortController();
  try {
    return await Promise.race([
      earlier.then(() => true),
      sleep(ms, false, { signal: AbortSignal.any([signal, waited.signal]) }),
    ]);
  } finally {
    waited.abort();
  }
}
