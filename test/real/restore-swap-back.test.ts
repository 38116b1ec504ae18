import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { swapBack } from '../../restore/swap-back.ts';
import { connectTo } from '../support/dataset.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let server: RedisServer;
let redis: Redis;
let incident = 0;
const journal = () => join(folder.path, `${incident}`, 'swap-back.json');

beforeAll(async () => {
  folder = await temporaryFolder('swap-back');
  server = await startRedis();
  redis = await connectTo(server);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
  await folder?.remove();
});

/** Two databases, and what a SWAPDB made of them. */
async function swapped(first: number, second: number): Promise<void> {
  incident += 1;
  await redis.flushall();
  for (const [db, keys] of [first, second].entries()) {
    for (let i = 0; i < keys; i++) await redis.multi().select(db).set(`of ${db}:${i}`, '1').select(0).exec();
  }
  await redis.call('SWAPDB', 0, 1);
}

const isBack = async () => (await redis.exists('of 0:0')) === 1;

beforeEach(() => redis.select(0));

test('databases with as many keys as each other are exchanged, and once only', async () => {
  await swapped(3, 3);
  expect(await swapBack(redis, [0, 1], 3, journal())).toBe(true);
  expect(await isBack()).toBe(true);
  expect(await swapBack(redis, [0, 1], 3, journal())).toBe(false);
  expect(await isBack()).toBe(true);
});

test('an attempt that was written down, and that Redis has not carried out, is made again', async () => {
  await swapped(3, 3);
  await redis.call('ACL', 'SETUSER', 'may-not', 'on', 'nopass', '~*', '+@all', '-swapdb');
  const mayNot = redis.duplicate({ username: 'may-not', password: 'any' });
  await expect(swapBack(mayNot, [0, 1], 3, journal())).rejects.toThrow('NOPERM');
  mayNot.disconnect();
  expect(await isBack()).toBe(false);
  expect(await swapBack(redis, [0, 1], 3, journal())).toBe(true);
  expect(await isBack()).toBe(true);
});

test('what somebody else has exchanged already stays', async () => {
  await swapped(5, 1);
  await redis.call('SWAPDB', 0, 1);
  expect(await swapBack(redis, [0, 1], 5, journal())).toBe(false);
  expect(await isBack()).toBe(true);
});
