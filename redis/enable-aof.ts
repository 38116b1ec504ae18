import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import { type Info, infoNumber, readInfo, serverVersion } from './info.ts';

/** What was switched on at a running server. */
export interface EnabledAof {
  /** False where it was on already. */
  readonly switchedOn: boolean;
  /** `#TS` annotations; `unknown`: this server has none. */
  readonly stamps: 'switched-on' | 'were-on' | 'unknown';
  /** Whether it will be so after a restart: `no-file` where the server was started without one. */
  readonly kept: 'rewritten' | 'no-file' | 'refused';
  /** What the server said where it refused. */
  readonly reason?: string;
}

const pollMs = 200;

/**
 * Switches the append-only file of a running server on, and waits until the rewrite that it begins with has ended well: from
 * then on the file holds all of the data. Never by a restart, which would start without the data that is in memory only.
 *
 * @throws AOF_NOT_ENABLED where the rewrite fails: the file is off again, as it was
 */
export async function enableAof(
  redis: Redis,
  { signal, onProgress }: { signal: AbortSignal; onProgress: (done: number, total: number) => void },
): Promise<EnabledAof> {
  const stamps = await enableStamps(redis);
  const before = await readInfo(redis, 'persistence');
  const switchedOn = before.aof_enabled !== '1';
  if (switchedOn) {
    await redis.config('SET', 'appendonly', 'yes').catch((error: Error) => {
      throw notEnabled(`CONFIG SET appendonly yes was refused: ${error.message}`);
    });
    try {
      await untilRewritten(redis, signal, onProgress);
    } catch (error) {
      // Half switched on, it would be tried again every second, a fork each time.
      await redis.config('SET', 'appendonly', 'no').catch(() => undefined);
      throw error;
    }
  }
  return { switchedOn, stamps, ...(await keep(redis)) };
}

async function enableStamps(redis: Redis): Promise<EnabledAof['stamps']> {
  const [, value] = (await redis.config('GET', 'aof-timestamp-enabled')) as string[];
  if (value === undefined) return 'unknown';
  if (value === 'yes') return 'were-on';
  await redis.config('SET', 'aof-timestamp-enabled', 'yes');
  return 'switched-on';
}

async function untilRewritten(
  redis: Redis,
  signal: AbortSignal,
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const info = await readInfo(redis, 'persistence');
    if (!runs(info)) {
      if (info.aof_last_bgrewrite_status === 'ok') return;
      throw notEnabled('the rewrite that it begins with failed; Redis’ log says why');
    }
    onProgress(infoNumber(info, 'current_save_keys_processed') ?? 0, infoNumber(info, 'current_save_keys_total') ?? 0);
    await sleep(pollMs, undefined, { signal });
  }
}

const runs = (info: Info): boolean => info.aof_rewrite_in_progress === '1' || info.aof_rewrite_scheduled === '1';

/** Writes the configuration file, only where there is one. */
async function keep(redis: Redis): Promise<Pick<EnabledAof, 'kept' | 'reason'>> {
  const server = await readInfo(redis, 'server');
  if (!server.config_file) return { kept: 'no-file' };
  try {
    await redis.config('REWRITE');
    return { kept: 'rewritten' };
  } catch (error) {
    return { kept: 'refused', reason: (error as Error).message };
  }
}

/** For a person; names what has to be done by hand, because a restart would load an older state. */
export function enabledInWords({ switchedOn, stamps, kept, reason }: EnabledAof): string {
  const what = switchedOn ? 'the append-only file is on, and its first rewrite has ended well' : 'it was on already';
  const times = stamps === 'switched-on' ? '; it carries times from now on' : '';
  if (kept === 'rewritten') return `${what}${times}; redis.conf says so, too`;
  const why =
    kept === 'no-file' ? 'it was started without a configuration file' : `CONFIG REWRITE was refused: ${reason}`;
  return `${what}${times}. NOT KEPT (${why}): start it with --appendonly yes --aof-timestamp-enabled yes from now on, or its next start loads an older state`;
}

function notEnabled(why: string): RewindError {
  return new RewindError('AOF_NOT_ENABLED', `The append-only file could not be switched on: ${why}.`);
}

/** Files in parts, which the archive needs. */
export async function hasPartsOfAof(redis: Redis): Promise<boolean> {
  const { name, version } = serverVersion(await readInfo(redis, 'server'));
  return name === 'valkey' || Number.parseInt(version, 10) >= 7;
}
