import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { inspectRdb } from '../../rdb/inspect.ts';
import { configurationOf } from '../../redis/config-diff.ts';
import { parseInfo } from '../../redis/info.ts';
import { streamAsPrimary } from '../../restore/as-primary/stream-as-primary.ts';
import { type DumpFacts, factsOf } from '../../sandbox/dump-facts.ts';
import { connectTo } from '../support/dataset.ts';
import { type Flavour, missingFlavour, type RedisOptions, type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => unknown)[] = [];
const io = { signal: new AbortController().signal, onProgress: () => undefined };

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(options: RedisOptions): Promise<{ server: RedisServer; redis: Redis }> {
  const server = await startRedis(options);
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  return { server, redis };
}

async function folder(): Promise<string> {
  const own = await temporaryFolder('as-primary');
  undo.push(() => own.remove());
  return own.path;
}

async function dumpOf(flavour: Flavour): Promise<{ path: string; facts: DumpFacts }> {
  const { server, redis } = await start({ flavour });
  await redis.set('key', '1');
  await redis.save();
  const path = join(await folder(), 'source.rdb');
  await copyFile(join(server.dir, 'dump.rdb'), path);
  return { path, facts: factsOf(await inspectRdb({ path })) };
}

/** Asks for the stream, and that nothing of the server was touched by being refused. */
async function expectRefused(
  { server, redis }: { server: RedisServer; redis: Redis },
  dump: { path: string; facts: Partial<DumpFacts> },
  reason: RegExp,
): Promise<void> {
  const state = async () => [
    configurationOf((await redis.config('GET', '*')) as string[]),
    parseInfo(await redis.info('replication')).master_replid,
    parseInfo(await redis.info('replication')).role,
    await redis.dbsize(),
  ];
  const before = await state();
  const request = {
    dumpPath: dump.path,
    facts: { highestDatabase: 0, modules: [], usedMemoryBytes: 0, ...dump.facts },
    target: { url: `redis://127.0.0.1:${server.port}` },
    home: await folder(),
  };
  await expect(streamAsPrimary(request, io)).rejects.toMatchObject({
    code: 'STREAM_REFUSED',
    message: expect.stringMatching(reason),
  });
  expect(await state()).toEqual(before);
}

const pairs: readonly { from: Flavour; into: Flavour }[] = [
  { from: 'redis-7.0', into: 'redis-6.2' },
  { from: 'redis-8.2', into: 'redis-7.0' },
  { from: 'redis-8.2', into: 'valkey-8' },
  { from: 'redis-8.2', into: 'valkey-9' },
  { from: 'valkey-9', into: 'redis-8.2' },
  { from: 'valkey-9', into: 'valkey-8' },
  { from: 'valkey-8', into: 'redis-7.0' },
];

describe.each(pairs)('a dump of $from into $into', ({ from, into }) => {
  test.skipIf(missingFlavour(from) ?? missingFlavour(into))('is refused before anything is touched', async () => {
    const target = await start({ flavour: into });
    await target.redis.set('old', '1');
    await expectRefused(target, await dumpOf(from), /loads dumps .*; this one is (REDIS|VALKEY)\d+/);
  });
});

const upward: readonly { from: Flavour; into: Flavour }[] = [
  { from: 'redis-6.2', into: 'redis-7.0' },
  { from: 'redis-6.2', into: 'valkey-9' },
  { from: 'redis-7.0', into: 'redis-8.2' },
  { from: 'redis-7.0', into: 'valkey-8' },
  { from: 'valkey-8', into: 'valkey-9' },
  { from: 'valkey-8', into: 'redis-8.2' },
];

describe.each(upward)('a dump of $from into $into', ({ from, into }) => {
  test.skipIf(missingFlavour(from) ?? missingFlavour(into))('is taken', async () => {
    const { server, redis } = await start({ flavour: into });
    const dump = await dumpOf(from);
    const target = { url: `redis://127.0.0.1:${server.port}` };
    await streamAsPrimary({ dumpPath: dump.path, facts: dump.facts, target, home: await folder() }, io);
    expect(await redis.keys('*')).toEqual(['key']);
  });
});

test('a replica, a primary with replicas, a cluster node are refused; replicas may be allowed', async () => {
  const dump = await dumpOf('redis-7.0');
  const primary = await start({});
  const replica = await start({ config: { replicaof: `127.0.0.1 ${primary.server.port}` } });
  await expect
    .poll(async () => parseInfo(await primary.redis.info('replication')).slave0, { timeout: 30_000 })
    .toContain('state=online');
  await expectRefused(replica, dump, /is a replica of 127\.0\.0\.1/);
  await expectRefused(primary, dump, /1 replica\(s\) hang on the target/);
  await expectRefused(await start({ config: { 'cluster-enabled': 'yes' } }), dump, /node of a Redis Cluster/);

  await primary.redis.set('old', '1');
  const report = await streamAsPrimary(
    {
      dumpPath: dump.path,
      facts: dump.facts,
      target: { url: `redis://127.0.0.1:${primary.server.port}` },
      home: await folder(),
      allow: { replicas: true },
    },
    io,
  );
  expect(report.replicas).toBe(1);
  await primary.redis.set('later', '1');
  await expect.poll(async () => (await replica.redis.keys('*')).sort(), { timeout: 30_000 }).toEqual(['key', 'later']);
});

test('a dump with a database, a module, or more memory than the target has is refused: loading it would end the server', async () => {
  const dump = await dumpOf('redis-7.0');
  const target = await start({ config: { databases: '4', maxmemory: '100mb' } });
  await expectRefused(target, { ...dump, facts: { highestDatabase: 9 } }, /in database 9; the target has 4 databases/);
  await expectRefused(target, { ...dump, facts: { modules: ['ReJSON-RL'] } }, /module type ReJSON-RL/);
  await expectRefused(target, { ...dump, facts: { usedMemoryBytes: 2e8 } }, /maxmemory is 104857600/);
  await expectRefused(target, { ...dump, facts: { usedMemoryBytes: 1e15 } }, /loaded beside the old/);
});

test('what is no dump is refused by its first bytes', async () => {
  const { server, redis } = await start({});
  await redis.set('old', '1');
  const path = join(await folder(), 'no.rdb');
  await writeFile(path, 'not a dump at all');
  const facts = { highestDatabase: 0, modules: [], usedMemoryBytes: 0 };
  const target = { url: `redis://127.0.0.1:${server.port}` };
  await expect(streamAsPrimary({ dumpPath: path, facts, target, home: await folder() }, io)).rejects.toMatchObject({
    code: 'RDB_NOT_A_DUMP',
  });
  expect(await redis.get('old')).toBe('1');
});

test('a user without the rights for it is refused by the server, and every setting is as it was', async () => {
  const dump = await dumpOf('redis-7.0');
  const { server, redis } = await start({});
  await redis.acl('SETUSER', 'limited', 'on', '>secret', '~*', '+@all', '-replicaof');
  await redis.set('old', '1');
  const settings = async () => configurationOf((await redis.config('GET', '*')) as string[]);
  const before = await settings();
  const target = { url: `redis://limited@127.0.0.1:${server.port}`, password: 'secret' };
  await expect(
    streamAsPrimary({ dumpPath: dump.path, facts: dump.facts, target, home: await folder() }, io),
  ).rejects.toMatchObject({ code: 'REDIS_REFUSED_LOGIN', message: expect.stringContaining('NOPERM') });
  expect(await settings()).toEqual(before);
  expect(await redis.get('old')).toBe('1');
});
