import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { fillDemo } from '../../cli/up/demo-data.ts';
import { connectRedis } from '../../redis/connection.ts';
import type { RedisServer } from './servers.ts';

/** A connection to a test's server, under a name that tells it from the product's. */
export async function connectTo(server: RedisServer): Promise<Redis> {
  const redis = await connectRedis({ url: `redis://127.0.0.1:${server.port}`, password: server.password });
  await redis.client('SETNAME', 'a-test');
  return redis;
}

/** A small set of every type. */
export async function fillEveryType(server: RedisServer): Promise<void> {
  const redis = await connectTo(server);
  await fillDemo(redis).finally(() => redis.disconnect());
}

/** About `megabytes` of values that do not compress, so that a dump has that size too. */
export async function fillMegabytes(server: RedisServer, megabytes: number): Promise<void> {
  const redis = await connectTo(server);
  try {
    const script = `
      math.randomseed(tonumber(ARGV[1]))
      local bytes = {}
      for i = 1, 1024 do bytes[i] = string.char(math.random(0, 255)) end
      local block = table.concat(bytes)
      for i = 1, 1024 do redis.call('SET', 'filler:' .. ARGV[1] .. ':' .. i, i .. string.reverse(block) .. i) end`;
    for (let part = 1; part <= megabytes; part += 1) await redis.eval(script, 0, part);
  } finally {
    redis.disconnect();
  }
}

/** Makes every save from now on last about so long: a key at a time, as on a slow disk. 0 undoes it. */
export async function slowSaves(server: RedisServer, seconds: number): Promise<void> {
  const redis = await connectTo(server);
  const keys = Math.max(1, await redis.dbsize());
  await redis.config('SET', 'rdb-key-save-delay', Math.round((seconds * 1e6) / keys)).finally(() => redis.disconnect());
}

/** Waits until Redis' child writes a dump. */
export async function untilSaving(server: RedisServer): Promise<void> {
  const redis = await connectTo(server);
  try {
    while (!(await redis.info('persistence')).includes('rdb_bgsave_in_progress:1')) await sleep(10);
  } finally {
    redis.disconnect();
  }
}
