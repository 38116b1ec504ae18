import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { addressOf, type RedisTarget } from '../../redis/connection.ts';
import { readInfo } from '../../redis/info.ts';

/** How what is in memory now is on disk, too. */
export type Durability = 'append-only-file' | 'dump' | 'not-persisted';

const pollMs = 100;

/**
 * Waits until a restart would load what is in memory: with the append-only file on until its rewrite has ended (the server
 * begins one by itself after a synchronization), else with save points by a save. A server that persists nothing is left so.
 *
 * @throws STREAM_NOT_DURABLE
 */
export async function makeDurable(
  redis: Redis,
  target: Pick<RedisTarget, 'url'>,
  how: { readonly aof: boolean; readonly savePoints: string },
  io: StepIO,
): Promise<Durability> {
  if (how.aof) {
    await untilQuiet(redis, io, 'the append-only file is rewritten');
    let info = await readInfo(redis, 'persistence');
    if (info.aof_last_bgrewrite_status !== 'ok') {
      await redis.call('BGREWRITEAOF');
      info = await untilQuiet(redis, io, 'the append-only file is rewritten once more');
    }
    if (info.aof_enabled !== '1' || info.aof_last_bgrewrite_status !== 'ok') {
      throw notDurable(target, `the append-only file is ${info.aof_enabled === '1' ? 'not rewritten' : 'off'}`);
    }
    return 'append-only-file';
  }
  if (how.savePoints === '') return 'not-persisted';
  await untilQuiet(redis, io, 'another save is running');
  await redis.call('BGSAVE');
  const info = await untilQuiet(redis, io, 'the restored data is saved');
  if (info.rdb_last_bgsave_status !== 'ok') throw notDurable(target, 'the save failed');
  return 'dump';
}

async function untilQuiet(redis: Redis, io: StepIO, note: string) {
  for (;;) {
    io.signal.throwIfAborted();
    const info = await readInfo(redis, 'persistence');
    const busy =
      info.aof_rewrite_in_progress === '1' || info.aof_rewrite_scheduled === '1' || info.rdb_bgsave_in_progress === '1';
    if (!busy) return info;
    io.onProgress({ phase: 'persist', note });
    await sleep(pollMs, undefined, { signal: io.signal });
  }
}

function notDurable(target: Pick<RedisTarget, 'url'>, why: string): RewindError {
  return new RewindError('STREAM_NOT_DURABLE', `The data is restored in Redis at ${addressOf(target)}, but ${why}.`);
}
