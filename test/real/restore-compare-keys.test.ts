import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { type CompareCursor, compareAll, compareSample } from '../../restore/compare/compare-keys.ts';
import type { CompareFigures, CompareTask } from '../../restore/compare/compare-task.ts';
import { comparisonInWords } from '../../restore/compare/in-words.ts';
import { keyLine } from '../../restore/compare/key-line.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { addAwkwardValues, farExpiry } from '../support/command-cases.ts';
import { connectTo } from '../support/dataset.ts';
import { descendants } from '../support/descendants.ts';
import {
  type Flavour,
  missingFlavour,
  type RedisOptions,
  type RedisServer,
  randomPassword,
  startRedis,
} from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

interface Compared {
  readonly server: RedisServer;
  readonly redis: Redis;
  /** Of what the server holds now. */
  save(): Promise<void>;
  readonly task: CompareTask;
  all(change?: Partial<CompareTask>): Promise<CompareFigures>;
  names(): Promise<{ db: number; key: string; base64?: boolean; outcome: string }[]>;
}

const io = () => ({ signal: new AbortController().signal, onProgress: () => {}, onCursor: () => {} });
const none = {
  same: 0,
  differing: 0,
  missing: 0,
  changedSince: 0,
  goneSince: 0,
  expired: 0,
  unreadable: 0,
  kept: 0,
  notSelected: 0,
};

async function start(options: RedisOptions = {}): Promise<Compared> {
  const server = await startRedis(options);
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  const folder = await temporaryFolder('compare');
  undo.push(() => folder.remove());
  const task: CompareTask = {
    target: { url: `redis://127.0.0.1:${server.port}`, password: server.password },
    dumpPath: join(folder.path, 'dump.rdb'),
    selection: {},
    ttl: 'keep',
    shiftMs: 0,
    by: 'slices',
    othersMayWrite: false,
    differencesFile: join(folder.path, 'differences.jsonl'),
  };
  return {
    server,
    redis,
    task,
    save: async () => {
      await redis.save();
      await copyFile(join(server.dir, 'dump.rdb'), task.dumpPath);
    },
    all: (change) => compareAll({ ...task, ...change }, io()),
    names: async () => {
      const text = await readFile(task.differencesFile, 'utf8');
      return text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    },
  };
}

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'every key is compared by content: a byte, an element, an expiry, a key that is gone are all found, and named',
    async () => {
      const { server, redis, save, all, names } = await start({ flavour });
      await fillServer(server.port, { keys: 1_500, seed: 51 });
      await addAwkwardValues(redis, { fieldExpiries: flavour === 'redis-8.2' || flavour === 'valkey-9' });
      await save();
      const total = (await redis.dbsize()) + 1;
      expect(await all()).toEqual({ ...none, same: total });
      expect(await names()).toEqual([]);

      await redis.setrange('large', 4_000_000, 'changed');
      await redis.sadd('set:mixed', 'one more');
      await redis.persist('expires');
      await redis.zadd('zset:scores', '0.3000000000000001', 'member:8');
      await redis.del('int:0', Buffer.from([0, 255, 13, 10, 36]));
      await redis.rename('int:1', 'int:renamed');
      await redis.select(9);
      await redis.set('key', 'other');
      const figures = await all();
      expect(figures).toEqual({ ...none, same: total - 8, differing: 5, missing: 3 });
      const named = (await names()).map(
        ({ db, key, base64, outcome }) => `${db} ${base64 ? 'base64 ' : ''}${key} ${outcome}`,
      );
      expect(named.sort()).toEqual(
        [
          '0 large differing',
          '0 set:mixed differing',
          '0 expires differing',
          '0 zset:scores differing',
          '9 key differing',
          '0 int:0 missing',
          '0 int:1 missing',
          `0 base64 ${Buffer.from([0, 255, 13, 10, 36]).toString('base64')} missing`,
        ].sort(),
      );
      expect(await all({ othersMayWrite: true })).toEqual({ ...none, same: total - 8, changedSince: 5, goneSince: 3 });
      expect(await all({ selection: { db: 9 } })).toEqual({ ...none, notSelected: total - 1, differing: 1 });
    },
    120_000,
  );
});

test('what expires is no difference, whether it went before, meanwhile, or field by field', async ({ skip }) => {
  const missing = missingFlavour('redis-8.2');
  if (missing) skip(missing);
  const { redis, save, all } = await start({ flavour: 'redis-8.2' });
  await redis.set('short', 'value', 'PX', 700);
  await redis.set('stays', 'value', 'PX', 3_600_000);
  await redis.hset('all-fields', 'a', '1', 'b', '2');
  await redis.call('HPEXPIRE', 'all-fields', '700', 'FIELDS', '2', 'a', 'b');
  await redis.hset('one-field', 'a', '1', 'b', '2');
  await redis.call('HPEXPIRE', 'one-field', '700', 'FIELDS', '1', 'b');
  await save();
  expect(await all()).toMatchObject({ differing: 0, missing: 0 });
  await expect.poll(() => redis.dbsize(), { timeout: 20_000 }).toBe(2);
  expect(await all()).toEqual({ ...none, same: 2, expired: 2 });
  // And what is gone before its time is missing.
  await redis.del('stays');
  expect(await all()).toEqual({ ...none, same: 1, expired: 2, missing: 1 });
});

test('expiries are expected as the restore put them: moved, or dropped', async () => {
  const { redis, save, all } = await start();
  await redis.call('SET', 'a', '1', 'PXAT', farExpiry);
  await redis.set('b', '1');
  await save();
  await redis.pexpireat('a', farExpiry + 5_000);
  expect(await all()).toMatchObject({ same: 1, differing: 1 });
  expect(await all({ ttl: 'shift', shiftMs: 5_000 })).toEqual({ ...none, same: 2 });
  await redis.persist('a');
  expect(await all({ ttl: 'drop' })).toEqual({ ...none, same: 2 });
});

test('expiries of fields are expected as commands put them: moved, dropped, or not at all on an older server', async ({
  skip,
}) => {
  const missing = missingFlavour('redis-8.2');
  if (missing) skip(missing);
  const { redis, save, all } = await start({ flavour: 'redis-8.2' });
  await redis.hset('hash', 'a', '1', 'b', '2');
  await redis.call('HPEXPIREAT', 'hash', farExpiry, 'FIELDS', '1', 'a');
  await save();
  await redis.call('HPEXPIREAT', 'hash', farExpiry + 5_000, 'FIELDS', '1', 'a');
  expect(await all({ by: 'commands', ttl: 'shift', shiftMs: 5_000 })).toEqual({ ...none, same: 1 });
  expect(await all({ by: 'slices', ttl: 'shift', shiftMs: 5_000 })).toEqual({ ...none, differing: 1 });
  await redis.call('HPERSIST', 'hash', 'FIELDS', '1', 'a');
  expect(await all({ by: 'commands', ttl: 'drop' })).toEqual({ ...none, same: 1 });
  const older = await start();
  await older.redis.hset('hash', 'a', '1', 'b', '2');
  expect(await all({ by: 'commands', target: older.task.target })).toEqual({ ...none, same: 1 });
  expect(await all({ by: 'slices', target: older.task.target })).toEqual({ ...none, differing: 1 });
});

test('keys that were live before and kept are not compared, replaced ones are', async () => {
  const { redis, save, all, task } = await start();
  for (const key of ['kept', 'replaced', 'other']) await redis.set(key, 'backup');
  await redis.set(Buffer.from([255, 1]), 'backup');
  await save();
  await redis.set('kept', 'live');
  await redis.set(Buffer.from([255, 1]), 'live');
  await redis.set('replaced', 'live');
  const namesFile = `${task.dumpPath}.names`;
  const lines = [
    keyLine(0, Buffer.from('kept'), { outcome: 'kept' }),
    keyLine(1, Buffer.from('other'), { outcome: 'kept' }),
    keyLine(0, Buffer.from('replaced'), { outcome: 'replaced' }),
    keyLine(0, Buffer.from([255, 1]), { outcome: 'kept' }),
    `${JSON.stringify({ library: 'lib', outcome: 'kept' })}\n`,
  ];
  await writeFile(namesFile, lines.join(''));
  expect(await all({ namesFile })).toEqual({ ...none, same: 1, kept: 2, differing: 1 });
});

test('a value that only a module can read is there and not compared, never taken for equal or different', async ({
  skip,
}) => {
  const missing = missingFlavour('redis-8.2');
  if (missing) skip(missing);
  const { redis, save, all } = await start({ flavour: 'redis-8.2' });
  await redis.set('a', '1');
  await redis.call('VADD', 'vector', 'VALUES', 2, '0.5', '0.25', 'element').catch(() => skip('no vector sets'));
  await save();
  expect(await all()).toEqual({ ...none, same: 1, unreadable: 1 });
  await redis.del('vector');
  expect(await all()).toEqual({ ...none, same: 1, missing: 1 });
});

test('a sample is as many keys as asked for, the same for the same seed, and finds what differs among them', async () => {
  const { server, redis, save, task, names } = await start({ password: randomPassword() });
  await fillServer(server.port, { keys: 4_000, seed: 52, password: server.password });
  await save();
  const sample = (seed: number) => compareSample(task, seed, io(), 500);
  expect(await sample(1)).toEqual({ ...none, same: 500 });
  await redis.flushall();
  expect(await sample(1)).toEqual({ ...none, missing: 500 });
  const first = await names();
  await sample(1);
  expect(await names()).toEqual(first);
  await sample(2);
  const again = new Set(first.map(({ key }) => key));
  expect((await names()).filter(({ key }) => !again.has(key)).length).toBeGreaterThan(300);
});

test('a comparison that is cut off goes on from its cursor: every key once, every name once', async () => {
  const { server, redis, save, task, all, names } = await start();
  await fillServer(server.port, { keys: 20_000, seed: 53 });
  await save();
  const gone = (await redis.keys('*')).filter((_, i) => i % 40 === 0);
  await redis.del(...gone);
  const whole = await all();
  expect(whole.missing).toBe(gone.length);
  const expected = (await names()).map(({ key }) => key).sort();

  let cursor: CompareCursor | undefined;
  let attempts = 0;
  let figures: CompareFigures | undefined;
  while (figures === undefined) {
    const cut = new AbortController();
    const cutOffOnce = attempts++ < 2;
    figures = await compareAll(
      { ...task, keysPerSecond: cutOffOnce ? 4_000 : undefined },
      {
        signal: cut.signal,
        onProgress: () => {},
        resumeFrom: cursor,
        onCursor: (told) => {
          // As a heartbeat carries it.
          cursor = JSON.parse(JSON.stringify(told));
          if (cutOffOnce) setTimeout(() => cut.abort(new Error('cut off')), 300);
        },
      },
    ).catch((error) => {
      expect(error).toMatchObject({ message: 'cut off' });
      return undefined;
    });
  }
  expect(attempts).toBe(3);
  expect(cursor!.offset).toBeGreaterThan(0);
  expect(figures).toEqual(whole);
  expect((await names()).map(({ key }) => key).sort()).toEqual(expected);
}, 60_000);

test('a server that goes away in the middle is an error and no difference', async () => {
  const { server, save, task } = await start();
  await fillServer(server.port, { keys: 20_000, seed: 54 });
  await save();
  const comparing = compareAll(
    { ...task, keysPerSecond: 4_000 },
    { signal: new AbortController().signal, onProgress: () => {}, onCursor: () => void server.kill9() },
  );
  await expect(comparing).rejects.toMatchObject({ code: 'REDIS_UNREACHABLE' });
});

test('a user without the right to ask, and a process that is killed, end in their own errors and leave no process', async () => {
  const { server, redis, save, task } = await start();
  await fillServer(server.port, { keys: 20_000, seed: 55 });
  await save();
  await redis.call('ACL', 'SETUSER', 'weak', 'on', '>secret', '~*', '+@all', '-info');
  const target = { url: `redis://weak@127.0.0.1:${server.port}`, password: 'secret' };
  await expect(compareAll({ ...task, target }, io())).rejects.toMatchObject({
    code: 'COMPARE_REFUSED',
    message: expect.stringMatching(/info/i),
  });
  const mine = () => descendants(process.pid).filter(({ args }) => args.includes('compare-child'));
  const killed = compareAll(
    { ...task, keysPerSecond: 4_000 },
    {
      ...io(),
      onCursor: () => {
        for (const { pid } of mine()) process.kill(pid, 'SIGKILL');
      },
    },
  );
  await expect(killed).rejects.toMatchObject({ code: 'COMPARE_DIED' });
  expect(mine()).toEqual([]);
});

test('what cannot be told is said as such', () => {
  const sure = comparisonInWords({ ...none, same: 7, differing: 1, missing: 2 }).join('\n');
  expect(sure).toMatch(/1 key differs from the backup/);
  expect(sure).toMatch(/2 keys of the backup are missing/);
  const unsure = comparisonInWords({ ...none, same: 7, changedSince: 3, goneSince: 1 }).join('\n');
  expect(unsure).not.toMatch(/differ|missing/);
  expect(unsure).toMatch(/3 keys are other than in the backup: written since the restore as far as can be told/);
});
