import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import type { DecodedType } from '../../rdb/types.ts';
import { readLiveKey } from '../../redis/live-content.ts';
import { LiveBatchReader, type LiveQuery } from '../../redis/live-content-batch.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { addAwkwardValues } from '../support/command-cases.ts';
import { connectTo } from '../support/dataset.ts';
import { type Flavour, missingFlavour, type RedisServer, startRedis } from '../support/servers.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(flavour: Flavour): Promise<{ server: RedisServer; redis: Redis }> {
  const server = await startRedis({ flavour });
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  return { server, redis };
}

async function reader(server: RedisServer, options = {}): Promise<LiveBatchReader> {
  const opened = await LiveBatchReader.open({ url: server.url }, options);
  undo.push(() => opened.close());
  return opened;
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

async function everyKey(redis: Redis): Promise<LiveQuery[]> {
  const queries: LiveQuery[] = [];
  for (const db of [0, 9]) {
    await redis.select(db);
    const keys = await redis.keysBuffer('*');
    for (const key of keys) queries.push({ db, key, type: (await redis.type(key)) as DecodedType });
  }
  return queries;
}

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'many keys read at once have the digests that they have one by one, with and without knowing their type',
    async () => {
      const { server, redis } = await start(flavour);
      await fillServer(server.port, { keys: 1_500, seed: 41 });
      await addAwkwardValues(redis, { fieldExpiries: flavour === 'redis-8.2' || flavour === 'valkey-9' });
      const queries = await everyKey(redis);
      queries.push({ db: 3, key: Buffer.from('nowhere') }, { db: 0, key: Buffer.from('nowhere'), type: 'hash' });
      const expected = [];
      for (const { db, key } of queries) expected.push(await readLiveKey(redis, db, key));
      const batch = await reader(server);
      expect(await batch.read(queries)).toEqual(expected);
      expect(await batch.read(queries.map(({ db, key }) => ({ db, key })))).toEqual(expected);
      // Two at a time, of keys mixed over the databases.
      const [odd, even] = [1, 0].map((rest) => queries.filter((_, i) => i % 2 === rest));
      const both = await Promise.all([batch.read(odd!), batch.read(even!)]);
      expect(both[0]).toEqual(expected.filter((_, i) => i % 2 === 1));
      expect(both[1]).toEqual(expected.filter((_, i) => i % 2 === 0));
    },
    60_000,
  );
});

test('a key of another type than expected is read as what it is', async () => {
  const { server, redis } = await start('redis-7.0');
  await redis.set('key', 'a string');
  await redis.rpush('list', 'a');
  const batch = await reader(server);
  const types: DecodedType[] = ['list', 'set', 'zset', 'hash', 'stream', 'string'];
  const found = await batch.read(types.map((type) => ({ db: 0, key: Buffer.from('key'), type })));
  expect(found).toEqual(types.map(() => found[5]));
  expect(found[5]).toMatchObject({ state: 'present', type: 'string' });
  expect(await batch.read([{ db: 0, key: Buffer.from('list'), type: 'string' }])).toMatchObject([{ type: 'list' }]);
});

test('reading does not make keys look used, where the server can be asked for that', async ({ skip }) => {
  const missing = missingFlavour('redis-8.2');
  if (missing) skip(missing);
  const { server, redis } = await start('redis-8.2');
  await redis.set('key', 'value');
  await redis.call('RESTORE', 'old', '0', (await redis.dumpBuffer('key'))!, 'IDLETIME', '5000');
  await (await reader(server)).read([{ db: 0, key: Buffer.from('old'), type: 'string' }]);
  expect(await redis.object('IDLETIME', 'old')).toBeGreaterThanOrEqual(5000);
});

test('a user that may not read is told which command', async () => {
  const { server, redis } = await start('redis-7.0');
  await redis.set('key', 'value');
  await redis.rpush('list', 'a');
  await redis.call('ACL', 'SETUSER', 'weak', 'on', '>secret', '~*', '+@all', '-lrange');
  const weak = await LiveBatchReader.open({ url: `redis://weak@127.0.0.1:${server.port}`, password: 'secret' });
  undo.push(() => weak.close());
  const error = await failureOf(weak.read([{ db: 0, key: Buffer.from('list'), type: 'list' }]));
  expect(error).toMatchObject({ code: 'COMPARE_REFUSED', message: expect.stringContaining('LRANGE') });
  expect(await weak.read([{ db: 0, key: Buffer.from('key') }])).toMatchObject([{ state: 'present' }]);
});

test('a server that goes away fails what is being read and what is read after', async () => {
  const { server, redis } = await start('redis-7.0');
  await fillServer(server.port, { keys: 500, seed: 3 });
  const queries = (await redis.keysBuffer('*')).map((key) => ({ db: 0, key }));
  const batch = await reader(server);
  const reading = failureOf(batch.read(queries));
  await server.kill9();
  const first = await reading;
  // It may have been faster than the kill.
  if (first !== undefined) expect(first).toMatchObject({ code: 'REDIS_UNREACHABLE' });
  expect(await failureOf(batch.read(queries))).toMatchObject({ code: 'REDIS_UNREACHABLE' });
});
