import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import type { StreamDetail } from '../../rdb/content-digest.ts';
import { connectRedis, type RedisTarget, withRedis } from '../../redis/connection.ts';
import { parseInfo, readInfo, redisTimeMs, serverVersion } from '../../redis/info.ts';
import { LiveBatchReader } from '../../redis/live-content-batch.ts';
import { RateLimit } from '../keys/rate-limit.ts';
import type { SideKey } from './partitions.ts';

/** Keys that SCAN is asked for at once: some milliseconds of the server's time. */
const scanKeys = 500;
const batchesAtOnce = 4;

/** How much a server keeps of a stream. */
export async function streamDetailOfServer(target: RedisTarget): Promise<StreamDetail> {
  return withRedis(target, async (redis) => {
    const { name, version } = serverVersion(parseInfo(await redis.info('server')));
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (name === 'valkey' || major > 7 || (major === 7 && minor >= 2)) return 3;
    return major === 7 ? 2 : 1;
  });
}

/**
 * Gives every key of a live server, in all databases, each as it is when it is read. A key that is there all the while
 * is given at least once; one that comes or goes meanwhile may be.
 *
 * @returns when the reading began, Unix ms by the server's clock
 */
export async function readLiveSide(
  target: RedisTarget,
  options: { readonly streamDetail: StreamDetail; readonly keysPerSecond?: number },
  onKey: (key: SideKey) => void,
  io: StepIO,
): Promise<{ atMs: number }> {
  const { streamDetail, keysPerSecond } = options;
  const rate = new RateLimit({ keysPerSecond });
  const scanner = await connectRedis(target);
  try {
    const reader = await LiveBatchReader.open(target, { streamDetail, consumerTimes: false }, io.signal);
    try {
      const atMs = await redisTimeMs(scanner);
      const databases = await databasesOf(scanner);
      const total = databases.reduce((sum, { keys }) => sum + keys, 0);
      let done = 0;
      const underWay = new Set<Promise<void>>();
      let failed: { readonly error: unknown } | undefined;
      const read = async (db: number, keys: readonly Buffer[]) => {
        const found = await reader.read(keys.map((key) => ({ db, key })));
        keys.forEach((key, index) => {
          const live = found[index]!;
          if (live.state === 'absent') return;
          const digest = live.state === 'present' ? live.digest : undefined;
          onKey({ db, key, expireAtMs: live.state === 'present' ? (live.expireAtMs ?? -1) : -1, digest });
        });
        done += keys.length;
        io.onProgress({ phase: 'read live', done, total: Math.max(done, total), unit: 'keys' });
      };
      for (const { db } of databases) {
        await scanner.select(db);
        let cursor = '0';
        do {
          io.signal.throwIfAborted();
          const [next, keys] = await scan(scanner, cursor);
          cursor = next;
          if (keysPerSecond) await rate.before(keys.length, 0, io.signal);
          while (underWay.size >= batchesAtOnce) await Promise.race(underWay);
          if (failed) throw failed.error;
          const reading = read(db, keys).catch((error) => {
            failed ??= { error };
          });
          underWay.add(reading);
          void reading.then(() => underWay.delete(reading));
        } while (cursor !== '0');
      }
      await Promise.all(underWay);
      if (failed) throw failed.error;
      return { atMs };
    } finally {
      reader.close();
    }
  } finally {
    scanner.disconnect();
  }
}

async function scan(redis: Redis, cursor: string): Promise<[string, Buffer[]]> {
  try {
    const [next, keys] = (await redis.callBuffer('SCAN', cursor, 'COUNT', scanKeys)) as [Buffer, Buffer[]];
    return [next.toString(), keys];
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new RewindError('COMPARE_REFUSED', `The server refused a command that reads: SCAN: ${said.slice(0, 200)}`);
  }
}

async function databasesOf(redis: Redis): Promise<{ db: number; keys: number }[]> {
  return Object.entries(await readInfo(redis, 'keyspace')).flatMap(([field, value]) => {
    const [, db] = /^db(\d+)$/.exec(field) ?? [];
    return db === undefined ? [] : [{ db: Number(db), keys: Number(/keys=(\d+)/.exec(value)?.[1] ?? 0) }];
  });
}
