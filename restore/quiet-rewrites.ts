import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO } from '../process/step-io.ts';
import { addressOf, type RedisTarget, withRedis } from '../redis/connection.ts';
import { readInfo } from '../redis/info.ts';
import { journalName, readJournal, removeJournal, writeJournal } from './journal.ts';
import { putSettings, readSettings, type Settings } from './live-settings.ts';

interface RewritesJournal {
  readonly formatVersion: 1;
  readonly address: string;
  /** Of the process that was changed: a setting made live is gone in another one. */
  readonly runId: string;
  readonly settings: Settings;
  readonly startedAt: string;
}

export interface QuietRewrites {
  readonly target: RedisTarget;
  /** The agent's state folder: the journal lies in it. */
  readonly home: string;
}

const parameter = 'auto-aof-rewrite-percentage';
const pollMs = 200;

const pathOf = ({ target, home }: QuietRewrites): string =>
  join(home, 'restores', journalName('quiet-rewrites', addressOf(target)));

/**
 * Runs `use` while the server begins no rewrite of its append-only file by itself: keys that are put back make the file
 * grow, and one rewrite after another would take from the server what the restore needs. The setting is written down
 * first and put back exactly, whatever `use` does; a rewrite at the end is for the caller to ask ({@link rewriteOnce}).
 *
 * @throws what `use` throws; REDIS_* where the server cannot be reached
 */
export async function withQuietRewrites<T>(where: QuietRewrites, use: () => Promise<T>): Promise<T> {
  await recoverQuietRewrites(where);
  await withRedis(where.target, async (redis) => {
    const settings = await readSettings(redis, [parameter]);
    const runId = (await readInfo(redis, 'server')).run_id ?? '';
    const journal: RewritesJournal = {
      formatVersion: 1,
      address: addressOf(where.target),
      runId,
      settings,
      startedAt: new Date().toISOString(),
    };
    await writeJournal(pathOf(where), journal);
    if (settings[parameter] !== undefined) await putSettings(redis, { [parameter]: '0' });
  });
  let outcome: { readonly value: T } | { readonly error: unknown };
  try {
    outcome = { value: await use() };
  } catch (error) {
    outcome = { error };
  }
  if ('error' in outcome) {
    // Its journal stays where the server is gone: the next call, or the agent's next start, ends it.
    await recoverQuietRewrites(where).catch(() => undefined);
    throw outcome.error;
  }
  await recoverQuietRewrites(where);
  return outcome.value;
}

/**
 * Puts back what a killed call of {@link withQuietRewrites} left at this server: to be called when an agent starts.
 *
 * @returns whether there was anything to put back
 */
export async function recoverQuietRewrites(where: QuietRewrites): Promise<boolean> {
  const path = pathOf(where);
  const journal = await readJournal<RewritesJournal>(path);
  if (journal === undefined) return false;
  await withRedis(where.target, async (redis) => {
    const sameProcess = (await readInfo(redis, 'server')).run_id === journal.runId;
    if (sameProcess) await putSettings(redis, journal.settings);
  });
  await removeJournal(path);
  return true;
}

/**
 * One rewrite of the append-only file, to its end. Does nothing where it is off.
 *
 * @returns whether there was one
 * @throws STREAM_NOT_DURABLE when it fails
 */
export async function rewriteOnce(redis: Redis, target: Pick<RedisTarget, 'url'>, io: StepIO): Promise<boolean> {
  if ((await readInfo(redis, 'persistence')).aof_enabled !== '1') return false;
  await untilNoRewrite(redis, io, 'another rewrite of the append-only file is running');
  // While a save runs it is scheduled, and that counts as running.
  await redis.call('BGREWRITEAOF');
  await untilNoRewrite(redis, io, 'the append-only file is rewritten');
  if ((await readInfo(redis, 'persistence')).aof_last_bgrewrite_status !== 'ok') {
    const message = `The rewrite of the append-only file of Redis at ${addressOf(target)} failed.`;
    throw new RewindError('STREAM_NOT_DURABLE', message, {
      safe: 'The data is whole and served, and every write is in the append-only file; it is only longer than it need be.',
    });
  }
  return true;
}

async function untilNoRewrite(redis: Redis, io: StepIO, note: string): Promise<void> {
  for (;;) {
    io.signal.throwIfAborted();
    const info = await readInfo(redis, 'persistence');
    if (info.aof_rewrite_in_progress !== '1' && info.aof_rewrite_scheduled !== '1') return;
    io.onProgress({ phase: 'persist', note });
    await sleep(pollMs, undefined, { signal: io.signal });
  }
}
