import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { parseInfo } from '../../redis/info.ts';
import {
  type QuietRewrites,
  recoverQuietRewrites,
  rewriteOnce,
  withQuietRewrites,
} from '../../restore/quiet-rewrites.ts';
import { connectTo } from '../support/dataset.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => unknown)[] = [];
const io = { signal: new AbortController().signal, onProgress: () => undefined };

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function scene(): Promise<{ server: RedisServer; redis: Redis; where: QuietRewrites }> {
  const folder = await temporaryFolder('quiet');
  undo.push(() => folder.remove());
  const server = await startRedis({ config: { appendonly: 'yes', 'auto-aof-rewrite-percentage': '37' } });
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  return { server, redis, where: { target: { url: `redis://127.0.0.1:${server.port}` }, home: folder.path } };
}

const percentageOf = async (redis: Redis) =>
  ((await redis.config('GET', 'auto-aof-rewrite-percentage')) as string[])[1];

async function killedInside(where: QuietRewrites, redis: Redis): Promise<void> {
  const script = fileURLToPath(new URL('../support/quiet-child.ts', import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [script, JSON.stringify(where)], { stdio: 'ignore' });
  undo.push(() => child.kill('SIGKILL'));
  await expect.poll(() => percentageOf(redis), { timeout: 30_000, interval: 10 }).toBe('0');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('rewrites are off inside and exactly as before after it, also when what is done inside fails', async () => {
  const { redis, where } = await scene();
  const inside = await withQuietRewrites(where, () => percentageOf(redis));
  expect(inside).toBe('0');
  expect(await percentageOf(redis)).toBe('37');
  const reason = new Error('by the test');
  await expect(withQuietRewrites(where, () => Promise.reject(reason))).rejects.toBe(reason);
  expect(await percentageOf(redis)).toBe('37');
  expect(await readdir(join(where.home, 'restores'))).toEqual([]);
});

test('a process killed -9 inside leaves a journal: the next call, or the next start, puts back what was before', async () => {
  const { redis, where } = await scene();
  await killedInside(where, redis);
  expect(await recoverQuietRewrites(where)).toBe(true);
  expect(await percentageOf(redis)).toBe('37');
  expect(await recoverQuietRewrites(where)).toBe(false);

  await killedInside(where, redis);
  // Not the 0 that it finds is taken for what was before.
  await withQuietRewrites(where, async () => undefined);
  expect(await percentageOf(redis)).toBe('37');
});

test('a server that was restarted since has read its own file: nothing is put over that', async () => {
  const { server, redis, where } = await scene();
  await killedInside(where, redis);
  await server.kill9();
  await server.restart({ config: { 'auto-aof-rewrite-percentage': '50' } });
  const again = await connectTo(server);
  undo.push(() => again.disconnect());
  expect(await recoverQuietRewrites(where)).toBe(true);
  expect(await percentageOf(again)).toBe('50');
});

test('one rewrite runs to its end, behind a save that is running, and none where the file is off', async () => {
  const { redis, where } = await scene();
  await redis.set('a', '1');
  await redis.bgsave();
  expect(await rewriteOnce(redis, where.target, io)).toBe(true);
  expect(parseInfo(await redis.info('persistence'))).toMatchObject({
    aof_rewrite_in_progress: '0',
    aof_rewrite_scheduled: '0',
    aof_rewrites: '1',
  });
  await redis.config('SET', 'appendonly', 'no');
  expect(await rewriteOnce(redis, where.target, io)).toBe(false);
});
