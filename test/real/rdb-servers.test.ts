import { execFile } from 'node:child_process';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { RewindError } from '../../errors/rewind-error.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { inspectHere } from '../../rdb/inspect-file.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { connectRedis } from '../../redis/connection.ts';
import { redisTimeMs } from '../../redis/info.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { Random } from '../../scripts/bench/random.ts';
import { type Flavour, missingFlavour, type RedisServer, redisBinary, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(
  options: Parameters<typeof startRedis>[0],
): Promise<{ server: RedisServer; redis: Redis; dump: string }> {
  const server = await startRedis(options);
  undo.push(() => server.stop());
  const redis = await connectRedis({ url: server.url });
  undo.push(() => redis.disconnect());
  return { server, redis, dump: join(server.dir, 'dump.rdb') };
}

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
const magics: Record<Flavour, string> = {
  'redis-6.2': 'REDIS 9',
  'redis-7.0': 'REDIS 10',
  'redis-8.2': 'REDIS 12',
  'valkey-8': 'REDIS 11',
  'valkey-9': 'VALKEY 80',
};
const configs: Record<string, Record<string, string>> = {
  'as it comes': {},
  'without checksum and compression': { rdbchecksum: 'no', rdbcompression: 'no' },
  'with idle times': { maxmemory: '4gb', 'maxmemory-policy': 'allkeys-lru' },
  'with access frequencies': { maxmemory: '4gb', 'maxmemory-policy': 'allkeys-lfu' },
};

/** What the server itself counts: keys and expiries by database, keys by type. */
async function counted(redis: Redis): Promise<{ databases: unknown[]; types: Record<string, number> }> {
  const databases = [...(await redis.info('keyspace')).matchAll(/^db(\d+):keys=(\d+),expires=(\d+)/gm)].map((line) => {
    const [db, keys, expires] = line.slice(1).map(Number);
    return { db, keys, keysWithExpiry: expires, resizeDbKeys: keys, resizeDbExpires: expires };
  });
  const types: Record<string, number> = {};
  for (const { db } of databases) {
    await redis.select(db!);
    for (const type of ['string', 'list', 'set', 'zset', 'hash', 'stream']) {
      // A server that moves its keys to a larger table meanwhile may tell one twice.
      const seen = new Set<string>();
      for (let cursor = '0'; ; ) {
        const [next, keys] = await redis.scan(cursor, 'COUNT', 500, 'TYPE', type);
        for (const key of keys) seen.add(key);
        if (next === '0') break;
        cursor = next;
      }
      if (seen.size > 0) types[type] = (types[type] ?? 0) + seen.size;
    }
  }
  await redis.select(0);
  return { databases, types };
}

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour)).each(Object.keys(configs))('counts as the server counts: %s', async (config) => {
    const { server, redis, dump } = await start({ flavour, config: configs[config] });
    await fillServer(server.port, { keys: 1200, seed: 21 });
    await redis.select(5);
    for (let i = 0; i < 70; i++) await redis.set(`other:${i}`, i, 'PX', 10_000_000);
    await redis.select(0);
    if (flavour !== 'redis-6.2') {
      await redis.call('FUNCTION', 'LOAD', "#!lua name=one\nredis.register_function('one', function() return 1 end)");
    }
    const before = await redisTimeMs(redis);
    await redis.save();
    const [after] = await redis.time();
    const { databases, types } = await counted(redis);
    const found = await inspectRdb({ path: dump }, { decode: true });
    expect(found).toMatchObject({ databases, types, keys: 1270, resizeDbMatches: true, undecodable: [], modules: [] });
    expect(`${found.magic} ${found.version}`).toBe(magics[flavour]);
    expect(found.crc).toBe(config.startsWith('without checksum') ? 'disabled' : 'ok');
    // By time(2), which may be a tick of the timer behind the clock of TIME.
    expect(Number(found.aux.ctime)).toBeGreaterThanOrEqual(Math.floor((before - 20) / 1000));
    expect(Number(found.aux.ctime)).toBeLessThanOrEqual(Number(after));
    expect(found.functions.map(({ engine, name }) => `${engine} ${name}`)).toEqual(
      flavour === 'redis-6.2' ? [] : [expect.stringMatching(/^lua one$/i)],
    );
  });

  test.skipIf(missingFlavour(flavour))(
    'each byte range is what the server itself writes to DUMP, and takes back by RESTORE',
    async () => {
      const { server, redis, dump } = await start({ flavour });
      await fillServer(server.port, { keys: 1500, seed: 22 });
      await redis.set('long', new Random(1).bytes(300_000));
      await redis.save();
      const bytes = await readFile(dump);
      const slices: { key: Buffer; body: Buffer }[] = [];
      let key = Buffer.alloc(0);
      await walkRdb(
        { path: dump },
        {
          key: (entry) => {
            key = Buffer.from(entry.copyKey());
            return null;
          },
          keyEnd: ({ typeAt, valueStart, end }) => {
            slices.push({
              key,
              body: Buffer.concat([bytes.subarray(typeAt, typeAt + 1), bytes.subarray(valueStart, end)]),
            });
          },
        },
      );
      expect(slices).toHaveLength(1501);
      const target = await start({ flavour });
      let different = 0;
      for (const { key: name, body } of slices) {
        const payload = (await redis.dumpBuffer(name))!;
        const footer = payload.subarray(-10);
        if (!payload.subarray(0, -10).equals(body)) different++;
        await target.redis.restore(name, 0, Buffer.concat([body, footer]));
      }
      expect(different).toBe(0);
      expect(await target.redis.dbsize()).toBe(1501);
    },
  );

  test.skipIf(missingFlavour(flavour))(
    'keys that had expired when it saved are those that it drops at the load',
    async () => {
      const config: Record<string, string> = flavour === 'redis-6.2' ? {} : { 'enable-debug-command': 'local' };
      const { server, redis, dump } = await start({ flavour, config });
      await redis.set('stays', '1');
      await redis.set('later', '1', 'PX', 10_000_000);
      await redis.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
      for (let i = 0; i < 5; i++) await redis.set(`gone:${i}`, '1', 'PX', 1);
      await new Promise((resolve) => setTimeout(resolve, 1100));
      await redis.save();
      const found = await inspectRdb({ path: dump });
      expect([found.keys, found.keysExpiredAtSave, found.resizeDbMatches]).toEqual([7, 5, true]);
      redis.disconnect();
      await server.kill9();
      await server.restart();
      const again = await connectRedis({ url: server.url });
      undo.push(() => again.disconnect());
      const persistence = await again.info('persistence');
      if (/rdb_last_load_keys_expired/.test(persistence)) expect(persistence).toContain('rdb_last_load_keys_expired:5');
      expect(await again.dbsize()).toBe(2);
    },
  );
});

const clustered = (['redis-8.2', 'valkey-8', 'valkey-9'] as const).filter((flavour) => !missingFlavour(flavour));
test.each(clustered)("%s in cluster mode: the slots' sizes in its dump are passed", async (flavour) => {
  const { redis, dump } = await start({ flavour, config: { 'cluster-enabled': 'yes' } });
  await redis.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16383);
  await expect.poll(async () => redis.call('CLUSTER', 'INFO'), { timeout: 10_000 }).toContain('cluster_state:ok');
  for (let i = 0; i < 300; i++) await redis.set(`key:${i}`, i);
  await redis.save();
  expect(await inspectRdb({ path: dump })).toMatchObject({ keys: 300, resizeDbMatches: true, crc: 'ok' });
});

test.skipIf(missingFlavour('redis-8.2'))(
  "redis-8.2: a module's values are counted by its type's name and not decoded",
  async () => {
    const { redis, dump } = await start({ flavour: 'redis-8.2' });
    await redis.call('VADD', 'vectors', 'VALUES', 3, '0.1', '0.2', '0.3', 'one');
    await redis.call('VADD', 'vectors', 'VALUES', 3, '0.5', '0.2', '0.9', 'two', 'SETATTR', '{"a":1}');
    await redis.set('string', 'v');
    await redis.save();
    const type = String(await redis.type('vectors'));
    const found = await inspectRdb({ path: dump }, { decode: true, sample: { count: 10, seed: 1 } });
    expect(found.types).toEqual({ [type]: 1, string: 1 });
    expect(found.modules).toEqual([{ name: type, keys: 1, aux: 0 }]);
    expect(found.undecodable).toEqual([{ type, typeCode: 7, offset: expect.any(Number) }]);
    expect(found.sample!.map(({ key }) => String(key))).toEqual(['string']);
  },
);

test('the dump that FLUSHALL leaves is whole, and empty', async () => {
  const { redis, dump, server } = await start({ config: { save: '3600 1' } });
  await fillServer(server.port, { keys: 50 });
  await redis.flushall();
  expect(await inspectRdb({ path: dump })).toMatchObject({ keys: 0, databases: [], crc: 'ok', resizeDbMatches: true });
});

test("mutants of a real dump: where the server's own checker finds nothing wrong, the count is the same", {
  timeout: 240_000,
}, async () => {
  const { server, redis, dump } = await start({ config: { rdbchecksum: 'no' } });
  await fillServer(server.port, { keys: 40, seed: 5 });
  await redis.save();
  const original = await readFile(dump);
  const folder = await temporaryFolder('mutants');
  undo.push(() => folder.remove());
  const random = new Random(11);
  const verdicts = { bothRead: 0, bothRefuse: 0, onlyWeRefuse: 0, onlyTheyRefuse: 0 };
  for (let i = 0; i < 100; i++) {
    const mutant = Buffer.from(original);
    // Damage of the data, not of the head: that is the same refusal every time.
    for (let n = random.between(1, 2); n > 0; n--)
      mutant[random.between(150, mutant.length - 10)] = random.bits() & 0xff;
    const path = join(folder.path, 'mutant.rdb');
    await writeFile(path, mutant);
    const theirs = await checkedKeys(path);
    const ours = await inspectHere({ path }, { decode: true }).then(
      ({ keys }) => keys,
      (error) => {
        expect(error).toBeInstanceOf(RewindError);
        return undefined;
      },
    );
    if (ours !== undefined && theirs !== undefined) {
      expect(ours, `mutant ${i}`).toBe(theirs);
      verdicts.bothRead++;
    } else if (ours === theirs) verdicts.bothRefuse++;
    else if (ours === undefined) verdicts.onlyWeRefuse++;
    else verdicts.onlyTheyRefuse++;
  }
  // Mostly the bytes of a string change, and sometimes a length: both kinds have to be there for this to mean anything.
  expect(verdicts.bothRead).toBeGreaterThan(20);
  expect(verdicts.bothRefuse).toBeGreaterThan(5);
});

/** What redis-check-rdb counts, undefined where it refuses the file or dies of it. */
async function checkedKeys(path: string): Promise<number | undefined> {
  const checker = join(dirname(redisBinary()), 'redis-check-rdb');
  try {
    const { stdout } = await promisify(execFile)(checker, [path], { timeout: 5_000 });
    const keys = /\[info\] (\d+) keys read/.exec(stdout);
    return stdout.includes('RDB looks OK') && keys !== null ? Number(keys[1]) : undefined;
  } catch {
    return undefined;
  }
}

test('a dump is read upward: what each server wrote is loaded and saved by a newer one with the same digests', async () => {
  const digests = async (path: string) => {
    const { sample } = await inspectRdb({ path }, { sample: { count: 1e6, seed: 1 } });
    return new Map(
      sample!
        .filter(({ type }) => type !== 'stream')
        .map(({ db, key, digest }) => [`${db} ${key.toString('hex')}`, digest]),
    );
  };
  const first = await start({ flavour: 'redis-6.2' });
  await fillServer(first.server.port, { keys: 1500, seed: 30 });
  await first.redis.save();
  const folder = await temporaryFolder('upward');
  undo.push(() => folder.remove());
  const path = join(folder.path, 'dump.rdb');
  await copyFile(first.dump, path);
  const original = await digests(path);
  expect(original.size).toBeGreaterThan(1400);
  for (const flavour of ['redis-7.0', 'redis-8.2'] as const) {
    if (missingFlavour(flavour)) continue;
    const server = await startRedis({ flavour, dir: folder.path });
    const redis = await connectRedis({ url: server.url });
    await redis.save();
    redis.disconnect();
    await server.stop();
    expect(await digests(path)).toEqual(original);
  }
});
