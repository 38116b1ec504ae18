import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO } from '../process/step-io.ts';
import { addressOf, type RedisTarget } from '../redis/connection.ts';
import { askLoadState } from './loading-progress.ts';

export interface WaitLoadedOptions {
  /** Asked between two looks: why the server has ended, undefined while it may still come. */
  readonly ended?: () => Promise<string | undefined>;
  /** The server's own last words, for the case that it never answers. */
  readonly lastWords?: () => Promise<string | undefined>;
  /** Milliseconds without any answer after which it is given up; a load may take as long as it likes. Default 60,000. */
  readonly silentMs?: number;
}

const pollMs = 100;
const defaultSilentMs = 60_000;

/**
 * Waits until a server that was started has loaded its data, and tells how far it is. Starting proves nothing:
 * `redis-server --daemonize yes` exits 0 and may then fail to load.
 *
 * @returns the run id of the server that answers
 * @throws HOST_SERVER_NOT_LOADED with its own words, REDIS_REFUSED_LOGIN
 */
export async function waitLoaded(target: RedisTarget, options: WaitLoadedOptions, io: StepIO): Promise<string> {
  const silentMs = options.silentMs ?? defaultSilentMs;
  let heardAt = performance.now();
  for (;;) {
    io.signal.throwIfAborted();
    const load = await askLoadState(target);
    if (load.state === 'loaded') return load.runId;
    if (load.state === 'loading') {
      heardAt = performance.now();
      const { loadedBytes, totalBytes, etaSeconds } = load;
      const note = etaSeconds === undefined ? undefined : `about ${etaSeconds} s left`;
      io.onProgress({ phase: 'load', done: loadedBytes, total: totalBytes, unit: 'bytes', note });
    }
    const why = await options.ended?.();
    if (why !== undefined) throw notLoaded(target, `ended before it had loaded its data: ${why}`);
    if (performance.now() - heardAt > silentMs) {
      const words = await options.lastWords?.();
      throw notLoaded(target, `gave no answer for ${silentMs / 1000} s${words ? `; its log ends: ${words}` : ''}`);
    }
    await sleep(pollMs, undefined, { signal: io.signal });
  }
}

function notLoaded(target: RedisTarget, what: string): RewindError {
  return new RewindError('HOST_SERVER_NOT_LOADED', `Redis at ${addressOf(target)} ${what}.`);
}
