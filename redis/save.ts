import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import { type Info, infoNumber, readInfo, redisTimeMs } from './info.ts';

/** A save that Redis was asked for. Times are whole seconds of Redis' own clock. */
export interface SaveStart {
  /** No dump whose `ctime` is before this second is the one that was asked for. */
  readonly startedAt: number;
  /** The server process that was asked; another one knows nothing of the save. */
  readonly runId: string;
}

export interface SaveProgress {
  readonly done: number;
  readonly total: number;
}

interface StartOptions {
  readonly signal: AbortSignal;
  /** A second recorded by an earlier attempt of this same step: a save begun since then is ours. */
  readonly askedSince?: number;
  /** Called with the second before Redis is asked, so that a repetition after a crash finds its own save again. */
  readonly onAsk: (startedAt: number) => void | Promise<void>;
  readonly onWait: (reason: string) => void;
}

/** Longer than a tick of any system's timer. */
const clockTickMs = 20;

/**
 * Starts a background save, or finds the one that an earlier attempt started. Waits for a save of somebody else to end
 * first; a running rewrite is waited for by Redis itself (BGSAVE SCHEDULE).
 *
 * @throws SAVE_FAILED when Redis cannot fork
 */
export async function startSave(redis: Redis, options: StartOptions): Promise<SaveStart> {
  for (;;) {
    options.signal.throwIfAborted();
    const info = { ...(await readInfo(redis, 'server')), ...(await readInfo(redis, 'persistence')) };
    const runId = info.run_id ?? '';
    const now = await redisTimeMs(redis);
    const second = Math.floor(now / 1000);
    if (options.askedSince !== undefined && savedSince(info, options.askedSince)) {
      return { startedAt: options.askedSince, runId };
    }
    if (info.rdb_bgsave_in_progress === '1') {
      const began = second - (infoNumber(info, 'rdb_current_bgsave_time_sec') ?? 0);
      if (options.askedSince !== undefined && began >= options.askedSince) {
        return { startedAt: options.askedSince, runId };
      }
      options.onWait('another save is running; waiting for it to end');
      await sleep(500, undefined, { signal: options.signal });
      continue;
    }
    // A save that ended in this very second could not be told from ours: both carry the same number.
    if (infoNumber(info, 'rdb_last_save_time') === second) {
      await sleep(250, undefined, { signal: options.signal });
      continue;
    }
    // A dump's `ctime` is by time(2), which may be behind the clock of TIME by a tick of the system's timer: it would say
    // that the dump is from before it was asked for.
    if (now % 1000 < clockTickMs) {
      await sleep(clockTickMs, undefined, { signal: options.signal });
      continue;
    }
    await options.onAsk(second);
    try {
      await redis.bgsave('SCHEDULE');
      return { startedAt: second, runId };
    } catch (error) {
      if (/already in progress/i.test(String(error))) continue;
      throw new RewindError('SAVE_FAILED', `Redis refused to start a background save: ${(error as Error).message}`);
    }
  }
}

function savedSince(info: Info, second: number): boolean {
  return (
    info.rdb_bgsave_in_progress !== '1' &&
    info.rdb_last_bgsave_status === 'ok' &&
    (infoNumber(info, 'rdb_last_save_time') ?? 0) >= second
  );
}

/**
 * Asks for a rewrite of the append-only file; Redis itself puts it behind a save that runs.
 *
 * @returns false where there is none to rewrite
 */
export async function startRewrite(redis: Redis): Promise<boolean> {
  const info = await readInfo(redis, 'persistence');
  if (info.aof_enabled !== '1') return false;
  if (info.aof_rewrite_in_progress === '1' || info.aof_rewrite_scheduled === '1') return true;
  await redis.bgrewriteaof();
  return true;
}

/** What one look at INFO says of a save that was asked for. */
export type SaveState =
  | { readonly state: 'running'; readonly progress?: SaveProgress }
  | { readonly state: 'waiting-for-rewrite' }
  | { readonly state: 'ended'; readonly endedAt: number }
  /** Nothing runs and our dump is not there; `lastStatus` is what Redis says of the save that ended last. */
  | { readonly state: 'idle'; readonly lastStatus: string }
  | { readonly state: 'restarted' };

/**
 * Reads the state of a save from INFO. `rdb_bgsave_in_progress:0` alone is never an end: it reads 0 right after a
 * *scheduled* save, too, and `ok` is what Redis says when FLUSHALL has killed the child.
 */
export function saveState(info: Info, start: SaveStart): SaveState {
  if (info.run_id !== start.runId) return { state: 'restarted' };
  if (info.rdb_bgsave_in_progress === '1') {
    const done = infoNumber(info, 'current_save_keys_processed');
    const total = infoNumber(info, 'current_save_keys_total');
    return { state: 'running', ...(done !== undefined && total ? { progress: { done, total } } : {}) };
  }
  const endedAt = infoNumber(info, 'rdb_last_save_time') ?? 0;
  if (endedAt >= start.startedAt && info.rdb_last_bgsave_status === 'ok') return { state: 'ended', endedAt };
  if (info.aof_rewrite_in_progress === '1') return { state: 'waiting-for-rewrite' };
  return { state: 'idle', lastStatus: info.rdb_last_bgsave_status ?? 'unknown' };
}

/** How long an idle server without our dump may still be about to start the scheduled save, in milliseconds. */
const IDLE_LIMIT_MS = 3_000;

/**
 * Waits until the save has ended.
 *
 * @returns the second (Redis' clock) at which it ended
 * @throws SAVE_FAILED, SAVE_LOST
 */
export async function awaitSave(
  redis: Redis,
  start: SaveStart,
  options: { signal: AbortSignal; onProgress: (state: SaveState) => void },
): Promise<{ endedAt: number }> {
  let idleMs = 0;
  for (let pollMs = 50; ; pollMs = Math.min(pollMs * 2, 200)) {
    const info = { ...(await readInfo(redis, 'server')), ...(await readInfo(redis, 'persistence')) };
    const state = saveState(info, start);
    options.onProgress(state);
    switch (state.state) {
      case 'ended':
        return { endedAt: state.endedAt };
      case 'restarted':
        throw new RewindError('SAVE_LOST', 'Redis restarted while it saved; the dump on its disk is an older one.');
      case 'idle':
        idleMs += pollMs;
        if (idleMs < IDLE_LIMIT_MS) break;
        throw state.lastStatus === 'ok'
          ? new RewindError('SAVE_LOST', 'The save ended without a dump: its child was killed.')
          : new RewindError('SAVE_FAILED', 'Redis ended the background save with an error (its log says why).');
      default:
        idleMs = 0;
    }
    await sleep(pollMs, undefined, { signal: options.signal });
  }
}
