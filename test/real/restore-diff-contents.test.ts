import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { type DiffResult, type DiffSide, diffContents } from '../../restore/diff/diff-contents.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { addAwkwardValues } from '../support/command-cases.ts';
import { connectTo } from '../support/dataset.ts';
import { type Flavour, missingFlavour, type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

interface Sides {
  readonly server: RedisServer;
  readonly redis: Redis;
  readonly live: DiffSide;
  save(name: string): Promise<DiffSide>;
  diff(a: DiffSide, b: DiffSide): Promise<DiffResult & { names: string[] }>;
}

async function start(flavour: Flavour): Promise<Sides> {
  const server = await startRedis({ flavour });
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  const folder = await temporaryFolder('diff');
  undo.push(() => folder.remove());
  let diffs = 0;
  return {
    server,
    redis,
    live: { live: { url: `redis://127.0.0.1:${server.port}` } },
    save: async (name) => {
      await redis.save();
      const dump = join(folder.path, name);
      await copyFile(join(server.dir, 'dump.rdb'), dump);
      return { dump };
    },
    diff: async (a, b) => {
      const workFolder = join(folder.path, `work-${++diffs}`);
      await mkdir(workFolder);
      const namesFile = join(folder.path, `names-${diffs}`);
      const io = { signal: new AbortController().signal, onProgress: () => {} };
      const result = await diffContents(a, b, { workFolder, namesFile }, io);
      const lines = (await readFile(namesFile, 'utf8')).split('\n').filter(Boolean);
      const names = lines.map((line) => {
        const { db, key, base64, change } = JSON.parse(line) as Record<string, string>;
        return `${db} ${base64 ? 'base64 ' : ''}${key} ${change}`;
      });
      return { ...result, names: names.sort() };
    },
  };
}

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'between two dumps, and a dump and the live server: added, gone and changed keys, each by name',
    async () => {
      const { server, redis, live, save, diff } = await start(flavour);
      await fillServer(server.port, { keys: 1_500, seed: 61 });
      await addAwkwardValues(redis, { fieldExpiries: flavour === 'redis-8.2' || flavour === 'valkey-9' });
      const before = await save('before.rdb');
      const total = (await redis.dbsize()) + 1;
      const equal = await diff(before, live);
      expect(equal).toMatchObject({ added: 0, gone: 0, changed: 0, expired: 0, unreadable: 0, same: total, names: [] });

      await redis.set('new', 'value');
      await redis.del('int:0', Buffer.from([0, 255, 13, 10, 36]));
      await redis.lset('list:many', 17, 'other');
      await redis.xadd('stream', '*', 'a', 'b');
      await redis.del('set:mixed');
      await redis.set('set:mixed', 'of another type now');
      await redis.select(9);
      await redis.persist('key');
      await redis.pexpire('key', 3_600_000);
      await redis.select(3);
      await redis.set('int:0', 'in another database');
      const after = await save('after.rdb');

      const expected = {
        added: 2,
        gone: 2,
        changed: 4,
        expired: 0,
        same: total - 6,
        byDatabase: {
          0: { added: 1, gone: 2, changed: 3 },
          3: { added: 1, gone: 0, changed: 0 },
          9: { added: 0, gone: 0, changed: 1, same: 0 },
        },
      };
      const names = [
        '0 new added',
        '3 int:0 added',
        '0 int:0 gone',
        `0 base64 ${Buffer.from([0, 255, 13, 10, 36]).toString('base64')} gone`,
        '0 list:many changed',
        '0 stream changed',
        '0 set:mixed changed',
        '9 key changed',
      ].sort();
      for (const side of [after, live]) {
        const found = await diff(before, side);
        expect(found).toMatchObject(expected);
        expect(found.names).toEqual(names);
      }
      const back = await diff(live, before);
      expect(back).toMatchObject({ added: 2, gone: 2, changed: 4 });
      expect(await diff(after, live)).toMatchObject({ added: 0, gone: 0, changed: 0, same: total });
    },
    120_000,
  );
});

test('a key whose time has passed is not gone but expired', async ({ skip }) => {
  const missing = missingFlavour('redis-8.2');
  if (missing) skip(missing);
  const { redis, live, save, diff } = await start('redis-8.2');
  await redis.set('short', 'value', 'PX', 1_500);
  await redis.set('stays', 'value');
  await redis.set('deleted', 'value', 'PX', 3_600_000);
  const before = await save('before.rdb');
  await expect.poll(() => redis.dbsize(), { timeout: 20_000 }).toBe(2);
  await redis.del('deleted');
  const found = await diff(before, live);
  expect(found).toMatchObject({ expired: 1, gone: 1, same: 1 });
  expect(found.names).toEqual(['0 deleted gone', '0 short expired']);
});

test.each<[Flavour, Flavour]>([
  ['redis-6.2', 'redis-7.0'],
  ['redis-7.0', 'redis-8.2'],
  ['redis-7.0', 'valkey-9'],
])('a dump of %s and the %s that has loaded it are equal', async (from, to) => {
  if (missingFlavour(from) || missingFlavour(to)) return;
  const source = await start(from);
  await fillServer(source.server.port, { keys: 600, seed: 62 });
  await addAwkwardValues(source.redis, { fieldExpiries: false });
  const dump = await source.save('dump.rdb');
  const folder = await temporaryFolder('loaded');
  undo.push(() => folder.remove());
  await copyFile((dump as { dump: string }).dump, join(folder.path, 'dump.rdb'));
  const loaded = await startRedis({ flavour: to, dir: folder.path });
  undo.push(() => loaded.stop());
  const found = await source.diff(dump, { live: { url: `redis://127.0.0.1:${loaded.port}` } });
  expect(found).toMatchObject({ added: 0, gone: 0, changed: 0, names: [] });
  expect(found.same).toBeGreaterThan(600);
});

test('a key that a scan gives twice is counted once', async () => {
  const { redis, live, save, diff } = await start('redis-7.0');
  // A keyspace that has shrunk: its table is being resized while it is scanned.
  for (let at = 0; at < 40_000; at += 4_000) {
    await redis.mset(...Array.from({ length: 4_000 }, (_, i) => [`key:${at + i}`, 'v']).flat());
  }
  for (let at = 0; at < 39_000; at += 1_000)
    await redis.del(...Array.from({ length: 1_000 }, (_, i) => `key:${at + i}`));
  const before = await save('before.rdb');
  expect(await diff(before, live)).toMatchObject({ same: 1_000, added: 0, gone: 0, changed: 0 });
});

test('values of modules are neither equal nor different, and said to be so', async ({ skip }) => {
  const missing = missingFlavour('redis-8.2');
  if (missing) skip(missing);
  const { redis, live, save, diff } = await start('redis-8.2');
  await redis.call('VADD', 'vector', 'VALUES', 2, '0.5', '0.25', 'element').catch(() => skip('no vector sets'));
  const before = await save('before.rdb');
  expect(await diff(before, live)).toMatchObject({ unreadable: 1, same: 0, changed: 0 });
});

test('a damaged dump is an error and no difference', async () => {
  const { redis, live, save, diff } = await start('redis-7.0');
  await redis.set('key', 'value');
  const dump = (await save('dump.rdb')) as { dump: string };
  const bytes = await readFile(dump.dump);
  bytes[bytes.length - 12]! ^= 1;
  await writeFile(dump.dump, bytes);
  await expect(diff(dump, live)).rejects.toMatchObject({ code: expect.stringMatching(/^RDB_/) });
});
