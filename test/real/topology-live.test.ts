import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { receiveDump } from '../../redis/psync.ts';
import { judgeTopology, readTopology } from '../../redis/topology.ts';
import { startSentinel } from '../support/sentinel.ts';
import { type Flavour, missingFlavour, type RedisOptions, type RedisServer, startRedis } from '../support/servers.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(options: RedisOptions = {}): Promise<{ server: RedisServer; redis: Redis; url: string }> {
  const server = await startRedis(options);
  undo.push(() => server.stop());
  const url = `redis://127.0.0.1:${server.port}`;
  const redis = await connectRedis({ url });
  undo.push(() => redis.disconnect());
  return { server, redis, url };
}

describe.each<Flavour>(['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'])('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))('primary and replica are told apart, before and after a failover', async () => {
    const a = await start({ flavour, config: { 'repl-diskless-sync-delay': '0' } });
    const b = await start({ flavour, config: { replicaof: `127.0.0.1 ${a.server.port}` } });
    await expect.poll(async () => (await readTopology(b.redis)).primary?.up, { timeout: 15_000 }).toBe(true);
    await expect.poll(async () => (await readTopology(a.redis)).replicas[0]?.state, { timeout: 15_000 }).toBe('online');
    const before = await readTopology(a.redis);
    expect(before).toMatchObject({
      mode: 'standalone',
      role: 'primary',
      processId: a.server.pid,
      minReplicasToWrite: 0,
    });
    expect(before.replicas).toMatchObject([{ address: `127.0.0.1:${b.server.port}` }]);
    expect(await readTopology(b.redis)).toMatchObject({
      role: 'replica',
      primary: { address: `127.0.0.1:${a.server.port}`, up: true, synchronizing: false },
      replication: { id: before.replication.id },
    });
    expect(judgeTopology(before, { from: 'primary', replicas: [b.url] })).toEqual({ ok: true, findings: [] });
    expect(judgeTopology(await readTopology(b.redis), { from: 'primary', replicas: [b.url] })).toMatchObject({
      ok: false,
    });

    await b.redis.replicaof('NO', 'ONE');
    await a.redis.replicaof('127.0.0.1', b.server.port);
    const promoted = await readTopology(b.redis);
    expect(promoted).toMatchObject({ role: 'primary', replication: { previousId: before.replication.id } });
    expect(judgeTopology(await readTopology(a.redis), { from: 'primary', replicas: [] })).toMatchObject({ ok: false });
  });

  test.skipIf(missingFlavour(flavour))('a node of a cluster is refused', async () => {
    const { redis } = await start({ flavour, config: { 'cluster-enabled': 'yes' } });
    expect(judgeTopology(await readTopology(redis), { from: 'primary', replicas: [] })).toMatchObject({
      ok: false,
      reason: expect.stringContaining('Cluster'),
    });
  });
});

test('a dump on its way is no replica that the configuration forgot', async () => {
  const { redis, url } = await start({ config: { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': '5' } });
  const cancel = new AbortController();
  const dump = receiveDump({ url }, { signal: cancel.signal });
  await expect.poll(async () => await redis.info('replication')).toContain('connected_slaves:1');
  expect(judgeTopology(await readTopology(redis), { from: 'primary', replicas: [] })).toEqual({
    ok: true,
    findings: [],
  });
  cancel.abort();
  await expect(dump).rejects.toThrow();
});

test('a user without CONFIG still learns the topology', async () => {
  const { redis, url } = await start();
  await redis.call('ACL', 'SETUSER', 'watcher', 'on', '>watching', '+info', '+ping');
  const watcher = await connectRedis({ url: url.replace('//', '//watcher@'), password: 'watching' });
  undo.push(() => watcher.disconnect());
  const topology = await readTopology(watcher);
  expect(topology.role).toBe('primary');
  expect(topology.minReplicasToWrite).toBeUndefined();
});

test('a Sentinel under url is named for what it is', async () => {
  const { server } = await start();
  const sentinel = await startSentinel({ primaryPort: server.port });
  undo.push(() => sentinel.stop());
  const redis = await connectRedis({ url: `redis://127.0.0.1:${sentinel.port}` });
  undo.push(() => redis.disconnect());
  expect(judgeTopology(await readTopology(redis), { from: 'primary', replicas: [] })).toMatchObject({
    ok: false,
    reason: expect.stringContaining('is a Sentinel'),
  });
});
