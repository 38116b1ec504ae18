import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { inspectRdb, type SampledKey } from '../../rdb/inspect.ts';
import { connectRedis } from '../../redis/connection.ts';
import { type LiveKey, readLiveKey } from '../../redis/live-content.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { Random } from '../../scripts/bench/random.ts';
import { type Flavour, missingFlavour, type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(options: Parameters<typeof startRedis>[0]): Promise<{ server: RedisServer; redis: Redis }> {
  const server = await startRedis(options);
  undo.push(() => server.stop());
  const redis = await connectRedis({ url: `redis://127.0.0.1:${server.port}` });
  undo.push(() => redis.disconnect());
  return { server, redis };
}

/** Limits of the compact encodings, so that the same data set is kept in each way a server has. */
const encodings: Record<string, Record<string, string>> = {
  'as it comes': {},
  'nothing compact': Object.fromEntries(
    ['hash', 'zset']
      .map((type) => [`${type}-max-ziplist-entries`, '0'])
      .concat([
        ['set-max-intset-entries', '0'],
        ['list-max-ziplist-size', '1'],
      ]),
  ),
  'all compact': Object.fromEntries(
    ['hash', 'zset']
      .flatMap((type) => [
        [`${type}-max-ziplist-entries`, '3000'],
        [`${type}-max-ziplist-value`, '100000'],
      ])
      .concat([
        ['set-max-intset-entries', '3000'],
        ['list-max-ziplist-size', '-5'],
        ['stream-node-max-entries', '1000'],
      ]),
  ),
};

/** What a random data set would hardly hit. */
async function addEdgeCases(redis: Redis, flavour: Flavour): Promise<void> {
  const random = new Random(7);
  await redis.set('', 'the empty key');
  await redis.set('empty', '');
  await redis.set(Buffer.from([0, 255, 13, 10, 36]), Buffer.from([0, 1, 2, 255]));
  await redis.set('large', Buffer.concat([random.bytes(9_000_000), Buffer.alloc(4_000_000, 'x')]));
  for (const [i, value] of [
    0,
    -1,
    127,
    128,
    -32769,
    2147483648,
    '9223372036854775807',
    '-9223372036854775808',
    '007',
    '1.5',
  ].entries()) {
    await redis.set(`int:${i}`, value);
  }
  await redis.call('SET', 'expires', 'value', 'PXAT', 4_102_444_800_123);
  await redis.rpush(
    'list:large',
    random.bytes(70_000),
    '',
    random.bytes(3_000_000),
    '-5',
    '12345678901234567890',
    random.bytes(70_000),
  );
  await redis.rpush('list:many', ...Array.from({ length: 30_000 }, (_, i) => `${i}`));
  await redis.sadd('set:16', 1, -2, 3);
  await redis.sadd('set:32', 1, 70_000, -70_000);
  await redis.sadd('set:64', 1, '9223372036854775807', '-9223372036854775808');
  await redis.sadd('set:mixed', '', '1', '01', random.bytes(100));
  for (let at = 0; at < 50_000; at += 5_000) {
    await redis.sadd('set:many', ...Array.from({ length: 5_000 }, (_, i) => `member:${at + i}`));
    await redis.hset('hash:many', Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`f${at + i}`, `${i}`])));
  }
  const scores = [
    'inf',
    '-inf',
    '0',
    '-0',
    '1e308',
    '-1e308',
    '5e-324',
    '0.1',
    '3',
    '-3',
    '9007199254740993',
    '1e21',
    '123456789.123456789',
  ];
  await redis.zadd('zset:scores', ...scores.flatMap((score, i) => [score, `member:${i}`]));
  await redis.zadd('zset:equal', ...Array.from({ length: 3_000 }, (_, i) => ['1', `member:${i}`]).flat());
  await redis.hset('hash:odd', '', '', 'field', '', 'bytes', random.bytes(200), '12', '-12');
  await redis.hset(
    'hash:heavy',
    Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, 'v'.repeat(200_000 + i)])),
  );
  await addStreams(redis);
  if (flavour === 'redis-8.2' || flavour === 'valkey-9') await addFieldExpiries(redis);
  await redis.select(9);
  await redis.set('key', 'in database 9');
  await redis.select(0);
}

async function addStreams(redis: Redis): Promise<void> {
  await redis.xgroup('CREATE', 'stream:empty', 'nobody', '$', 'MKSTREAM');
  for (let i = 1; i <= 700; i++)
    await redis.xadd('stream', `${i}-1`, 'event', `${i}`, ...(i % 7 ? [] : ['', 'odd field']));
  await redis.xdel('stream', '5-1', '300-1');
  await redis.xtrim('stream', 'MAXLEN', 600);
  await redis.xgroup('CREATE', 'stream', 'readers', '0');
  await redis.xgroup('CREATE', 'stream', 'late', '400-1');
  await redis.xreadgroup('GROUP', 'readers', 'one', 'COUNT', 300, 'STREAMS', 'stream', '>');
  await redis.xreadgroup('GROUP', 'readers', 'two', 'COUNT', 20, 'STREAMS', 'stream', '>');
  await redis.xack('stream', 'readers', '150-1', '151-1');
  await redis.xclaim('stream', 'readers', 'three', 0, '160-1', 'RETRYCOUNT', 9);
  await redis.xgroup('CREATECONSUMER', 'stream', 'late', 'idle');
  await redis.xreadgroup('GROUP', 'readers', 'four', 'STREAMS', 'stream', '160-1');
  await redis.xdel('stream', '161-1');
  await redis.xadd('stream:end', '18446744073709551615-18446744073709551614', 'a', 'b');
  await redis.xadd('stream:end', '18446744073709551615-18446744073709551615', 'a', 'b');
  await redis.xadd('stream:seq', '5-18446744073709551615', 'a', 'b');
}

async function addFieldExpiries(redis: Redis): Promise<void> {
  await redis.hset('fields:few', 'a', '1', 'b', '2', 'c', '3');
  await redis.call('HPEXPIREAT', 'fields:few', 4_102_444_800_001, 'FIELDS', 2, 'a', 'c');
  const pairs = Array.from({ length: 2_000 }, (_, i) => [`f${i}`, `v${i}`]);
  await redis.hset('fields:many', ...pairs.flat());
  for (let i = 0; i < 2_000; i += 3)
    await redis.call('HPEXPIREAT', 'fields:many', 4_102_444_800_000 + i, 'FIELDS', 1, `f${i}`);
  await redis.hset('fields:all', 'x', 'y');
  await redis.call('HPEXPIREAT', 'fields:all', 4_102_444_900_000, 'FIELDS', 1, 'x');
}

async function allKeysOf(server: RedisServer): Promise<readonly SampledKey[]> {
  const inspection = await inspectRdb({ path: join(server.dir, 'dump.rdb') }, { sample: { count: 1e9, seed: 1 } });
  expect(inspection.sample).toHaveLength(inspection.keys);
  return inspection.sample!;
}

/** Names of keys that a live server tells otherwise than the dump; their content stays out of the output. */
async function differing(redis: Redis, keys: readonly SampledKey[]): Promise<string[]> {
  const different: string[] = [];
  for (const { db, key, digest, streamDetail, type } of keys) {
    const live = await readLiveKey(redis, db, key, { streamDetail });
    const same = live.state === 'present' && live.digest === digest;
    if (!same) different.push(`${db}/${key.toString('latin1').slice(0, 40)} (${type}): ${live.state}`);
  }
  return different;
}

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour)).each(Object.keys(encodings))(
    'every key of its dump has the digest that its live server gives by ordinary commands: %s',
    async (kept) => {
      const { server, redis } = await start({ flavour, config: encodings[kept] });
      await fillServer(server.port, { keys: 1_500, seed: 11 });
      await addEdgeCases(redis, flavour);
      await redis.save();
      const keys = await allKeysOf(server);
      expect(keys.length).toBeGreaterThan(1_520);
      expect(await differing(redis, keys)).toEqual([]);
    },
  );
});

test.each<[Flavour, Flavour]>([
  ['redis-6.2', 'redis-7.0'],
  ['redis-6.2', 'redis-8.2'],
  ['redis-7.0', 'redis-8.2'],
  ['redis-7.0', 'valkey-9'],
  ['valkey-8', 'valkey-9'],
])('a dump of %s that %s has loaded keeps every digest, its streams at the detail of the dump', async (from, to) => {
  if (missingFlavour(from) || missingFlavour(to)) return;
  const source = await start({ flavour: from });
  await fillServer(source.server.port, { keys: 600, seed: 12 });
  await addEdgeCases(source.redis, from);
  await source.redis.save();
  const keys = await allKeysOf(source.server);
  const folder = await temporaryFolder('live-content');
  undo.push(() => folder.remove());
  await copyFile(join(source.server.dir, 'dump.rdb'), join(folder.path, 'dump.rdb'));
  const loaded = await start({ flavour: to, dir: folder.path });
  expect(await differing(loaded.redis, keys)).toEqual([]);
});

describe('one thing changed changes the digest', () => {
  const changes: [string, string[][], string[]][] = [
    ['a byte of a string', [['SET', 'k', 'abc']], ['SETRANGE', 'k', '1', 'x']],
    ['the expiry alone', [['SET', 'k', 'abc']], ['PEXPIREAT', 'k', '4102444800000']],
    ['the order of a list', [['RPUSH', 'k', 'a', 'b']], ['LMOVE', 'k', 'k', 'LEFT', 'RIGHT']],
    ['a set member', [['SADD', 'k', 'a', 'b']], ['SREM', 'k', 'b']],
    ['the last digit of a score', [['ZADD', 'k', '0.1', 'a']], ['ZADD', 'k', '0.10000000000000002', 'a']],
    ['a field of a hash', [['HSET', 'k', 'a', '1']], ['HSET', 'k', 'a', '2']],
    [
      'an entry of a stream',
      [
        ['XADD', 'k', '1-1', 'a', 'b'],
        ['XADD', 'k', '2-1', 'a', 'b'],
      ],
      ['XDEL', 'k', '1-1'],
    ],
    ['a group of a stream', [['XADD', 'k', '1-1', 'a', 'b']], ['XGROUP', 'CREATE', 'k', 'g', '0']],
    [
      'what is pending in a group',
      [
        ['XADD', 'k', '1-1', 'a', 'b'],
        ['XGROUP', 'CREATE', 'k', 'g', '0'],
        ['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'k', '>'],
      ],
      ['XACK', 'k', 'g', '1-1'],
    ],
    ['the type', [['SADD', 'k', 'a']], ['EVAL', "redis.call('DEL', 'k') redis.call('RPUSH', 'k', 'a')", '0']],
  ];
  test.each(changes)('%s', async (_, made, change) => {
    const { redis } = await start({});
    for (const [name, ...rest] of made) await redis.call(name!, ...rest);
    const read = async () => ((await readLiveKey(redis, 0, Buffer.from('k'))) as LiveKey & { digest: string }).digest;
    const before = await read();
    expect(before).toMatch(/^[0-9a-f]{32}$/);
    expect(await read()).toBe(before);
    await redis.call(change[0]!, ...change.slice(1));
    expect(await read()).not.toBe(before);
  });
});

test('a set and a hash read while their tables are being resized count every element once', async () => {
  const { server, redis } = await start({ config: { activerehashing: 'no' } });
  for (let at = 0; at < 40_000; at += 4_000) {
    await redis.sadd('set', ...Array.from({ length: 4_000 }, (_, i) => `member:${at + i}`));
    await redis.hset('hash', Object.fromEntries(Array.from({ length: 4_000 }, (_, i) => [`field:${at + i}`, 'v'])));
  }
  // Most are removed again: the tables shrink under the scan.
  for (let at = 0; at < 37_000; at += 1_000) {
    await redis.srem('set', ...Array.from({ length: 1_000 }, (_, i) => `member:${at + i}`));
    await redis.hdel('hash', ...Array.from({ length: 1_000 }, (_, i) => `field:${at + i}`));
  }
  await redis.save();
  expect(await differing(redis, await allKeysOf(server))).toEqual([]);
});

test('fields that have expired but are not yet removed are no content', async ({ skip }) => {
  const missing = missingFlavour('redis-8.2');
  if (missing) skip(missing);
  const { redis } = await start({ flavour: 'redis-8.2', config: { 'enable-debug-command': 'yes' } });
  await redis.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
  await redis.hset('plain', 'a', '1');
  await redis.hset('expiring', 'a', '1', 'b', '2');
  await redis.call('HPEXPIRE', 'expiring', '1', 'FIELDS', '1', 'b');
  await sleep(50);
  // HLEN still counts it, which sends the reader round a second time.
  expect(await redis.hlen('expiring')).toBe(2);
  const [plain, expiring] = [
    await readLiveKey(redis, 0, Buffer.from('plain')),
    await readLiveKey(redis, 0, Buffer.from('expiring')),
  ];
  expect(expiring).toEqual(plain);
});

test.each<Flavour>(['redis-8.2', 'valkey-9'])(
  '%s: a field that expires between the save and the comparison contradicts nothing, where both sides leave it out',
  async (flavour) => {
    if (missingFlavour(flavour)) return;
    const { server, redis } = await start({ flavour });
    await redis.hset('hash', 'stays', '1', 'goes', '2', 'later', '3');
    await redis.call('HPEXPIRE', 'hash', '1500', 'FIELDS', '1', 'goes');
    await redis.call('HPEXPIRE', 'hash', '3600000', 'FIELDS', '1', 'later');
    await redis.save();
    const aliveAt = Date.now() + 60_000;
    const dump = join(server.dir, 'dump.rdb');
    const sampled = async (at?: number) =>
      (await inspectRdb({ path: dump }, { sample: { count: 1, seed: 1, aliveAt: at } })).sample?.[0]?.digest;
    const live = async (at?: number) => {
      const key = await readLiveKey(redis, 0, Buffer.from('hash'), { aliveAt: at });
      return key.state === 'present' ? key.digest : key.state;
    };
    expect(await live(aliveAt)).toBe(await sampled(aliveAt));
    await expect.poll(() => redis.hlen('hash'), { timeout: 10_000 }).toBe(2);
    expect(await live(aliveAt)).toBe(await sampled(aliveAt));
    expect(await live()).not.toBe(await sampled());
  },
);

test('a key that is not there, or has expired, is absent; a type of a module is not guessed at', async () => {
  const { redis } = await start({});
  expect(await readLiveKey(redis, 0, Buffer.from('nothing'))).toEqual({ state: 'absent' });
  await redis.set('short', 'value', 'PX', 1);
  await expect.poll(() => readLiveKey(redis, 0, Buffer.from('short'))).toEqual({ state: 'absent' });
  const { redis: eight } = await start({ flavour: 'redis-8.2' });
  await eight.call('VADD', 'vector', 'VALUES', 2, '0.5', '0.25', 'element').catch(() => {});
  const vector = await readLiveKey(eight, 0, Buffer.from('vector'));
  if (vector.state !== 'absent') expect(vector).toMatchObject({ state: 'unsupported' });
});
