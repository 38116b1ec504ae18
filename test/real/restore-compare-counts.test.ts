import type { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { parseInfo } from '../../redis/info.ts';
import { compareCounts } from '../../restore/compare/compare-counts.ts';
import { connectTo } from '../support/dataset.ts';
import { startRedis } from '../support/servers.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function withKeys(): Promise<Redis> {
  const server = await startRedis();
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  await redis.mset('a', '1', 'b', '1', 'c', '1');
  await redis.select(2);
  await redis.mset('x', '1', 'y', '1');
  await redis.select(0);
  return redis;
}

const before = { 0: 1, 2: 1 };
const put = { restored: 3, replaced: 1, byDatabase: { 0: 2, 2: 2 } };

test('what was there and what was put has to be there, replaced keys once', async () => {
  const redis = await withKeys();
  expect(await compareCounts(redis, { before, put, othersMayWrite: false })).toMatchObject({
    result: 'ok',
    databases: [
      { db: 0, found: 3 },
      { db: 2, found: 2 },
    ],
  });
});

test('a key too few or too many contradicts, unless others may have written', async () => {
  const redis = await withKeys();
  await redis.del('a');
  expect(await compareCounts(redis, { before, put, othersMayWrite: false })).toMatchObject({ result: 'contradicted' });
  expect(await compareCounts(redis, { before, put, othersMayWrite: true })).toMatchObject({ result: 'not-possible' });
  await redis.mset('a', '1', 'd', '1');
  expect(await compareCounts(redis, { before, put, othersMayWrite: false })).toMatchObject({
    result: 'contradicted',
    detail: expect.stringContaining('6 keys are there, 5 were to be expected'),
  });
  // The sum is right, and the wrong database has it.
  await redis.del('d', 'a', 'b');
  await redis.select(2);
  await redis.mset('v', '1', 'w', '1');
  expect(await compareCounts(redis, { before, put, othersMayWrite: false })).toMatchObject({ result: 'contradicted' });
});

test('keys that have expired since are reckoned in, as many as the server says and no more', async () => {
  const redis = await withKeys();
  const stats = async () => Number(parseInfo(await redis.info('stats')).expired_keys);
  const expiredKeysBefore = await stats();
  await redis.pexpire('a', 1);
  await expect.poll(stats, { timeout: 10_000 }).toBe(expiredKeysBefore + 1);
  const expected = { before, put, othersMayWrite: false, expiredKeysBefore };
  expect(await compareCounts(redis, expected)).toMatchObject({
    result: 'ok',
    detail: '4 keys are there, 1 more has expired',
  });
  await redis.del('b');
  expect(await compareCounts(redis, expected)).toMatchObject({ result: 'contradicted' });
});
