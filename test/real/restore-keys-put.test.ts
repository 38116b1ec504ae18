import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { Random } from '../../scripts/bench/random.ts';
import { digestOf, flavours, PutKeysStage, put } from '../support/put-keys.ts';
import { missingFlavour } from '../support/servers.ts';

const stage = new PutKeysStage();
afterEach(() => stage.end());

const hour = 3_600_000;
/** What makes a server choose its other encodings. */
const smallLimits = {
  'hash-max-ziplist-entries': '3',
  'zset-max-ziplist-entries': '3',
  'set-max-intset-entries': '3',
  'list-max-ziplist-size': '-1',
  'list-compress-depth': '1',
  'stream-node-max-entries': '2',
};

describe.each(flavours)('%s', (flavour) => {
  const missing = missingFlavour(flavour);

  test.skipIf(missing)(
    'what is put into an empty server has the DEBUG DIGEST of the source: every type, several databases, functions',
    async () => {
      const source = await stage.source(flavour, 3000, 31);
      const target = await stage.side(flavour);
      const figures = await put(await stage.task(source.dump, target));
      expect(await digestOf(target)).toBe(await digestOf(source));
      expect(figures).toMatchObject({
        restored: 3075,
        kept: 0,
        replaced: 0,
        expired: 0,
        notSelected: 0,
        functionLibraries: flavour === 'redis-6.2' ? 0 : 1,
        byDatabase: { 0: 3000, 5: 72, 9: 3 },
      });
      if (flavour !== 'redis-6.2') expect(await target.redis.call('FCALL', 'one', 0)).toBe(1);
    },
    60_000,
  );

  test.skipIf(missing)(
    'any data set in other encodings, without compression or checksum, arrives as it was',
    async () => {
      for (let round = 0; round < 3; round++) {
        const random = new Random(500 + round);
        const config = {
          ...(random.chance(0.5) ? smallLimits : {}),
          rdbcompression: random.chance(0.5) ? 'yes' : 'no',
          rdbchecksum: random.chance(0.5) ? 'yes' : 'no',
        };
        const source = await stage.source(flavour, 800, 500 + round, { config });
        const target = await stage.side(flavour);
        await put(await stage.task(source.dump, target));
        expect(await digestOf(target)).toBe(await digestOf(source));
      }
    },
    60_000,
  );

  test.skipIf(missing)(
    'keys that are live are kept or replaced as asked: counted exactly and listed, the others put',
    async () => {
      const source = await stage.source(flavour, 1500, 32);
      for (const onConflict of ['keep-live', 'take-backup'] as const) {
        const target = await stage.side(flavour);
        await fillServer(target.server.port, { keys: 500, seed: 99 });
        await target.redis.select(5);
        await target.redis.set(Buffer.from([0xff, 0x00, 0xfe, 0x0a]), 'mine');
        await target.redis.select(9);
        await target.redis.set('long', 'mine');
        await target.redis.select(0);
        const task = await stage.task(source.dump, target, { onConflict });
        const conflicts = await conflictsOf(source.redis, target.redis);
        const figures = await put(task);
        const count = conflicts.length + 2;
        const outcome = onConflict === 'keep-live' ? 'kept' : 'replaced';
        expect(figures).toMatchObject({ restored: 1575 - count, kept: 0, replaced: 0, [outcome]: count });
        const lines = (await readFile(task.namesFile, 'utf8'))
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
        expect(lines).toHaveLength(count);
        expect(new Set(lines.filter(({ db }) => db === 0).map(({ key }) => key))).toEqual(new Set(conflicts));
        expect(lines).toContainEqual({ db: 5, key: '/wD+Cg==', base64: true, outcome });
        expect(lines).toContainEqual({ db: 9, key: 'long', outcome });
        await target.redis.select(9);
        expect((await target.redis.strlen('long')) === 4).toBe(onConflict === 'keep-live');
        await target.redis.select(0);
        // Without what was only live, it is the source's data set when the backup was taken.
        if (onConflict === 'take-backup') {
          for (const key of await target.redis.keys('*')) {
            if (!(await source.redis.exists(key))) await target.redis.unlink(key);
          }
          expect(await digestOf(target)).toBe(await digestOf(source));
        }
      }
    },
    60_000,
  );

  test.skipIf(missing)(
    'an expiry stays, is moved or goes; what has passed is never sent, and a live key of that name stays',
    async () => {
      const source = await stage.side(flavour);
      const [seconds] = await source.redis.time();
      const now = Number(seconds) * 1000;
      await source.redis.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
      await source.redis.set('for ever', '1');
      await source.redis.call('SET', 'later', '1', 'PXAT', now + hour);
      await source.redis.set('passed', '1');
      await source.redis.pexpire('passed', 1);
      await source.redis.save();
      await expect.poll(() => source.redis.pttl('passed'), { timeout: 5_000 }).toBeLessThan(0);
      const dump = join(source.server.dir, 'dump.rdb');
      const expiryOf = async (side: typeof source, key: string) => {
        const left = await side.redis.pttl(key);
        return left < 0 ? left : Math.round((left + Date.now()) / 10_000);
      };
      for (const onConflict of ['keep-live', 'take-backup'] as const) {
        const kept = await stage.side(flavour);
        await kept.redis.set('passed', 'live');
        expect(await put(await stage.task(dump, kept, { onConflict }))).toMatchObject({ restored: 2, expired: 1 });
        expect(await kept.redis.get('passed')).toBe('live');
        expect(await expiryOf(kept, 'later')).toBe(Math.round((now + hour) / 10_000));
        expect(await expiryOf(kept, 'for ever')).toBe(-1);
      }
      const shifted = await stage.side(flavour);
      const moved = await stage.task(dump, shifted, { ttl: 'shift', shiftMs: 3 * hour });
      expect(await put(moved)).toMatchObject({ restored: 3, expired: 0 });
      expect(await expiryOf(shifted, 'later')).toBe(Math.round((now + 4 * hour) / 10_000));
      expect(await expiryOf(shifted, 'passed')).toBeGreaterThan(Math.round((now + 2 * hour) / 10_000));
      const dropped = await stage.side(flavour);
      expect(await put(await stage.task(dump, dropped, { ttl: 'drop' }))).toMatchObject({ restored: 3, expired: 0 });
      for (const key of ['for ever', 'later', 'passed']) expect(await expiryOf(dropped, key)).toBe(-1);
    },
    60_000,
  );

  test.skipIf(missing)(
    'a pattern, a database, a file of names select; the rest is counted and not sent',
    async () => {
      const source = await stage.source(flavour, 1000, 33);
      const all = await source.redis.keys('*');
      const hashes = all.filter((key) => key.startsWith('hash:'));
      const [one, two] = [await stage.side(flavour), await stage.side(flavour)];
      expect(await put(await stage.task(source.dump, one, { selection: { match: 'hash:*' } }))).toMatchObject({
        restored: hashes.length,
        notSelected: 1075 - hashes.length,
      });
      expect((await one.redis.keys('*')).sort()).toEqual(hashes.sort());
      const keyFile = await stage.file('keys');
      const named = ['other:3', 'other:69', 'no such key', ...hashes.slice(0, 10)];
      await writeFile(keyFile, `${named.join('\n')}\r\n\n`);
      expect(await put(await stage.task(source.dump, two, { selection: { keyFile } }))).toMatchObject({ restored: 12 });
      expect(await put(await stage.task(source.dump, two, { selection: { keyFile, db: 5 } }))).toMatchObject({
        kept: 2,
        restored: 0,
        byDatabase: {},
      });
      expect(await put(await stage.task(source.dump, two, { selection: { db: 9 } }))).toMatchObject({
        byDatabase: { 9: 3 },
      });
    },
    60_000,
  );
});

test('idle times and frequencies come along', async () => {
  const policy = (name: string) => ({ config: { maxmemory: '1gb', 'maxmemory-policy': name, 'lfu-decay-time': '0' } });
  const source = await stage.side('redis-7.0', policy('allkeys-lru'));
  const idle = (side: typeof source) => side.redis.object('IDLETIME', 'key');
  await source.redis.set('key', '1');
  await expect.poll(() => idle(source), { timeout: 20_000 }).toBeGreaterThan(1);
  // Before it: however long the save takes, the dump has no less.
  const saved = Number(await idle(source));
  await source.redis.save();
  const target = await stage.side('redis-7.0', policy('allkeys-lru'));
  await put(await stage.task(join(source.server.dir, 'dump.rdb'), target));
  expect(Number(await idle(target))).toBeGreaterThanOrEqual(saved - 1);

  const counting = await stage.side('redis-7.0', policy('allkeys-lfu'));
  await counting.redis.set('key', '1');
  for (let i = 0; i < 200; i++) await counting.redis.get('key');
  await counting.redis.save();
  const counted = await stage.side('redis-7.0', policy('allkeys-lfu'));
  await put(await stage.task(join(counting.server.dir, 'dump.rdb'), counted));
  expect(await counted.redis.object('FREQ', 'key')).toBe(await counting.redis.object('FREQ', 'key'));
});

test('function libraries are added, replaced, or come instead of all that are there', async () => {
  const library = (name: string, says: number) =>
    `#!lua name=${name}\nredis.register_function('${name}', function() return ${says} end)`;
  const source = await stage.side('redis-7.0');
  for (const name of ['one', 'two']) await source.redis.call('FUNCTION', 'LOAD', library(name, 1));
  await source.redis.save();
  const dump = join(source.server.dir, 'dump.rdb');
  const said = async (functions: 'append' | 'replace' | 'flush' | 'none') => {
    const target = await stage.side('redis-7.0');
    await target.redis.call('FUNCTION', 'LOAD', library('two', 2));
    await target.redis.call('FUNCTION', 'LOAD', library('three', 3));
    const task = await stage.task(dump, target, { functions });
    const { functionLibraries, functionLibrariesPassedOver } = await put(task);
    const names = await readFile(task.namesFile, 'utf8');
    const answers = await Promise.all(
      ['one', 'two', 'three'].map((name) => target.redis.call('FCALL', name, 0).catch(() => 0)),
    );
    return { functionLibraries, functionLibrariesPassedOver, answers, names };
  };
  expect(await said('append')).toEqual({
    functionLibraries: 1,
    functionLibrariesPassedOver: 1,
    answers: [1, 2, 3],
    names: '{"library":"two","outcome":"kept"}\n',
  });
  expect(await said('replace')).toMatchObject({ functionLibraries: 2, answers: [1, 1, 3], names: '' });
  expect(await said('flush')).toMatchObject({ functionLibraries: 2, answers: [1, 1, 0], names: '' });
  expect(await said('none')).toMatchObject({ functionLibraries: 0, answers: [0, 2, 3], names: '' });
});

test('function libraries are passed over where the server has none', async () => {
  const source = await stage.source('redis-7.0', 10, 1);
  const target = await stage.side('redis-6.2');
  const sixTwo = await stage.task(source.dump, target, { selection: { match: 'other:*' } });
  expect(await put(sixTwo)).toMatchObject({ restored: 70, functionLibraries: 0, functionLibrariesPassedOver: 1 });
});

async function conflictsOf(
  source: { keys(pattern: string): Promise<string[]> },
  target: typeof source,
): Promise<string[]> {
  const live = new Set(await target.keys('*'));
  return (await source.keys('*')).filter((key) => live.has(key));
}
