import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { localSettings } from '../../incident/crash/local-settings.ts';
import { flushesInAof } from '../../incident/evidence/flush-in-aof.ts';
import { ReplicaSet } from '../support/replication.ts';
import { type Flavour, missingFlavour, type RedisServer } from '../support/servers.ts';

const set = new ReplicaSet();
const io = { signal: new AbortController().signal, onProgress: () => {} };

afterEach(() => set.stop());

const settingsOf = ({ dir }: RedisServer) => localSettings({ dir, appendonly: 'yes' }, 'a test')!;

/** Until Redis has put the commands into the file. */
const untilFlushes = (server: RedisServer, count: number) =>
  expect.poll(async () => (await flushesInAof(settingsOf(server), io)).flushCount, { timeout: 20_000 }).toBe(count);

describe.each<Flavour>(['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'])('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'a flush is found at its byte: cut there, the file gives the data back',
    async () => {
      const { redis, server } = await set.start({ flavour, config: { appendonly: 'yes', appendfsync: 'always' } });
      await redis.mset('secret:1', 'v', 'b', 'v');
      await redis.del('b');
      await redis.multi().set('c', 'v').flushall().exec();
      await redis.set('after', 'v');
      await untilFlushes(server, 1);
      const { flushes, deletedKeys, sentences, unknown } = await flushesInAof(settingsOf(server), io);
      expect(flushes).toMatchObject([{ command: 'flushall', db: 0 }]);
      expect(deletedKeys).toEqual({ '0': 1 });
      expect(sentences[0]).toMatch(/^FLUSHALL stands in appendonly\.aof\S* at byte \d+\.$/);
      expect(unknown.join()).toContain('no timestamps');
      expect(JSON.stringify([flushes, sentences])).not.toContain('secret');

      const [flush] = flushes;
      const folder = flavour === 'redis-6.2' ? server.dir : join(server.dir, 'appendonlydir');
      await server.kill9();
      await truncate(join(folder, flush!.file), flush!.cutAt);
      await server.restart();
      const again = await set.connect(server);
      expect(await again.keys('*')).toEqual(['secret:1']);
    },
  );
});

test('with timestamps the second of a flush is bounded on both sides', async () => {
  const { redis, server } = await set.start({ config: { appendonly: 'yes', 'aof-timestamp-enabled': 'yes' } });
  await redis.set('a', 'v');
  await new Promise((settle) => setTimeout(settle, 1_100));
  const from = Date.now();
  await redis.select(3);
  await redis.flushdb();
  await redis.swapdb(0, 3);
  await new Promise((settle) => setTimeout(settle, 1_100));
  await redis.set('b', 'v');
  await untilFlushes(server, 2);
  await expect
    .poll(async () => (await flushesInAof(settingsOf(server), io)).flushes[1]?.notAfter, { timeout: 20_000 })
    .toBeDefined();
  const { flushes, sentences } = await flushesInAof(settingsOf(server), io);
  expect(flushes.map(({ command, db }) => [command, db])).toEqual([
    ['flushdb', 3],
    ['swapdb', 3],
  ]);
  expect(Date.parse(flushes[0]?.notBefore ?? '')).toBeLessThanOrEqual(from + 1_000);
  expect(Date.parse(flushes[0]?.notAfter ?? '')).toBeGreaterThanOrEqual(from - 1_000);
  expect(sentences[0]).toContain('FLUSHDB of database 3');
});

test('damage in the middle, and an append-only file that is off, are gaps that are named', async () => {
  const { redis, server } = await set.start({ config: { appendonly: 'yes', appendfsync: 'always' } });
  await redis.set('a', 'v');
  await redis.flushall();
  await untilFlushes(server, 1);
  await server.kill9();
  const [flush] = (await flushesInAof(settingsOf(server), io)).flushes;
  const path = join(server.dir, 'appendonlydir', flush!.file);
  const bytes = await readFile(path);
  bytes[flush!.cutAt] = 0x58;
  await writeFile(path, bytes);
  const damaged = await flushesInAof(settingsOf(server), io);
  expect(damaged.flushes).toEqual([]);
  expect(damaged.unknown.join()).toContain('behind the damage');
  const off = await flushesInAof({ ...settingsOf(server), appendonly: false }, io);
  expect(off.unknown.join()).toContain('it is off');
});
