import { chmod, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { findingsOf } from '../../check/findings-of.ts';
import { readHostFacts } from '../../check/host-facts.ts';
import { viewInstance } from '../../check/instance-view.ts';
import type { InstanceView, Observed } from '../../check/observed.ts';
import type { RedisFacts } from '../../check/redis-facts.ts';
import { parseConfig } from '../../config/load.ts';
import { instancesInForce } from '../../policy/instance-policy.ts';
import { connectRedis } from '../../redis/connection.ts';
import { reasonInLog } from '../../redis/log-reason.ts';
import { createIdentity } from '../../repository/identity.ts';
import { openRepository } from '../../repository/open.ts';
import { openInstance } from '../../workers/instance-context.ts';
import { healthy } from '../support/observed.ts';
import { type Flavour, missingFlavour, type RedisOptions, type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(options: RedisOptions = {}) {
  const server = await startRedis(options);
  undo.push(() => server.stop());
  const redis = await connectRedis({ url: `redis://127.0.0.1:${server.port}`, password: options.password });
  undo.push(() => redis.disconnect());
  return { server, redis };
}

/** What an agent beside this server sees, and what is found in it alone. */
async function look(server: Pick<RedisServer, 'port'>, yaml: object = {}, beside = true) {
  const folder = await temporaryFolder('check-repository');
  undo.push(() => folder.remove());
  const repository = pathToFileURL(join(folder.path, 'repository')).href;
  const text = JSON.stringify({
    repository: { url: repository },
    instances: { orders: { url: `redis://127.0.0.1:${server.port}`, ...yaml } },
  });
  const config = { ...parseConfig(text, { name: 'test', folder: '/', home: '/' }), source: 'file' as const };
  const open = openInstance({ config, env: { SECRET: 'wrong' }, home: folder.path });
  const [instance = ''] = instancesInForce(config);
  const context = await open({ instance });
  const again = async () => {
    const view = await viewInstance(context, beside);
    const observed: Observed = {
      ...healthy(),
      policy: context.policy,
      url: view.url,
      instance: view,
      sandbox: undefined,
    };
    const found = findingsOf(observed).filter(({ code }) => !ofThisMachine.has(code));
    return { view, found, codes: found.map(({ code }) => code) };
  };
  return { again, repository, folder: folder.path, ...(await again()) };
}

/** What the machine that runs the tests may or may not have; held by unit tests. */
const ofThisMachine = new Set(['OVERCOMMIT', 'FORK_HEADROOM', 'HUGE_PAGES', 'REPOSITORY_ON_REDIS_DISK']);

const facts = (view: InstanceView): RedisFacts => view.redis as RedisFacts;

describe.each<Flavour>(['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'])('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'a server with a file of its own has nothing to find, and stays as it was',
    async () => {
      const { server, redis } = await start({ flavour, config: { appendonly: 'yes' } });
      const before = await redis.config('GET', '*');
      const { view, found } = await look(server);
      expect(found).toEqual([]);
      const { server: named, topology, persistence, dump, memory } = facts(view);
      expect(named.name).toBe(flavour.startsWith('valkey') ? 'valkey' : 'redis');
      expect(named.version).toMatch(new RegExp(`^${flavour.split('-')[1]}`));
      expect(topology).toMatchObject({ mode: 'standalone', role: 'primary', processId: server.pid });
      expect(persistence).toEqual({
        appendOnly: true,
        appendFsync: 'everysec',
        // Redis 7.0 and newer can write the time.
        ...(flavour === 'redis-6.2' ? {} : { appendStamps: false }),
        savePoints: '',
        stopsWritesOnSaveError: true,
        writesChecksum: true,
        lastSave: 'ok',
        lastAppend: 'ok',
      });
      expect(dump).toEqual({ dir: server.dir, dbfilename: 'dump.rdb' });
      expect(memory.rssBytes).toBeGreaterThan(memory.datasetBytes);
      // One clock: what differs is half of the time that the question took.
      expect(Math.abs(facts(view).clockSkewMs)).toBeLessThan(5_000);
      expect(view.host?.dump).toMatchObject({ dir: server.dir, readable: true });
      expect(await redis.config('GET', '*')).toEqual(before);
    },
  );
});

test('persistence that is off is found, and gone after the command that mends it', async () => {
  const { server, redis } = await start();
  const { codes, found, again } = await look(server);
  expect(codes).toEqual(['PERSISTENCE_OFF']);
  expect(found[0]?.fix).toContain(`redis-cli -h 127.0.0.1 -p ${server.port} CONFIG SET appendonly yes`);
  await redis.config('SET', 'appendonly', 'yes');
  expect((await again()).codes).toEqual([]);
  // Until its first file is written Redis does not end.
  await expect
    .poll(async () => await redis.info('persistence'))
    .toMatch(/aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0/);
});

test('a save that failed is found with the reason from Redis’ log, and with the writes that it stopped', async () => {
  const { server, redis } = await start({ config: { save: '3600 1', appendonly: 'yes', logfile: 'redis.log' } });
  // A folder in its place lets no dump be put there; chmod would not stop root.
  await mkdir(join(server.dir, 'dump.rdb', 'in-the-way'), { recursive: true });
  await redis.bgsave();
  await expect.poll(async () => await redis.info('persistence')).toContain('rdb_last_bgsave_status:err');
  await expect(redis.set('key', 'value')).rejects.toThrow('MISCONF');
  const { found, again } = await look(server);
  expect(found[0]).toMatchObject({
    code: 'LAST_SAVE_FAILED',
    severity: 'error',
    consequence: expect.stringMatching(
      /Redis’ log says: Error moving temp DB file .*\. Until a save succeeds Redis refuses all writes \(MISCONF\)/,
    ),
  });
  await rm(join(server.dir, 'dump.rdb'), { recursive: true });
  await redis.bgsave();
  await expect.poll(async () => await redis.info('persistence')).toContain('rdb_last_bgsave_status:ok');
  expect((await again()).codes).toEqual(['STOPS_WRITES_ON_SAVE_ERROR']);
});

test('without save points a failed save stops no writes, and none is claimed', async () => {
  const { server, redis } = await start({ config: { appendonly: 'yes' } });
  await mkdir(join(server.dir, 'dump.rdb', 'in-the-way'), { recursive: true });
  await redis.bgsave();
  await expect.poll(async () => await redis.info('persistence')).toContain('rdb_last_bgsave_status:err');
  await redis.set('key', 'value');
  const { found } = await look(server);
  expect(found.map(({ code }) => code)).toEqual(['LAST_SAVE_FAILED']);
  expect(found[0]?.consequence).not.toContain('MISCONF');
});

test('dumps without a checksum are found before one is taken', async () => {
  const { server } = await start({ config: { rdbchecksum: 'no', appendonly: 'yes' } });
  expect((await look(server)).codes).toEqual(['CHECKSUM_OFF']);
});

test('a node of a cluster, a replica and an unknown replica are each named', async () => {
  const cluster = await start({ config: { 'cluster-enabled': 'yes', appendonly: 'yes' } });
  expect((await look(cluster.server)).codes).toEqual(['CLUSTER_NODE']);

  const primary = await start({
    config: { appendonly: 'yes', 'repl-diskless-sync-delay': '0', 'shutdown-timeout': '0' },
  });
  const replica = await start({ config: { appendonly: 'yes', replicaof: `127.0.0.1 ${primary.server.port}` } });
  await expect.poll(async () => await replica.redis.info('replication')).toContain('master_link_status:up');
  await expect.poll(async () => await primary.redis.info('replication')).toContain('state=online');
  expect((await look(replica.server)).codes).toEqual(['ROLE_DIFFERS']);
  expect((await look(replica.server, { backup: { from: 'replica' } })).codes).toEqual([]);
  expect((await look(primary.server)).codes).toEqual(['TOPOLOGY_DIFFERS']);
  await primary.redis.config('SET', 'min-replicas-to-write', '2');
  const replicas = [`redis://127.0.0.1:${replica.server.port}`];
  expect((await look(primary.server, { replicas })).codes).toEqual(['TOPOLOGY_DIFFERS', 'MIN_REPLICAS_TO_WRITE']);
});

test('Redis down, a password that is wrong and one that is missing are findings, not crashes', async () => {
  const { server } = await start({ password: 'right', config: { appendonly: 'yes' } });
  const wrong = await look(server, { password: { env: 'SECRET' } });
  expect(wrong.codes).toEqual(['REDIS_REFUSED_LOGIN']);
  expect(JSON.stringify(wrong)).not.toMatch(/"[^"]*\bwrong\b[^"]*"/);
  expect((await look(server)).found[0]).toMatchObject({
    code: 'REDIS_REFUSED_LOGIN',
    consequence: expect.stringContaining('NOAUTH'),
    fix: expect.stringContaining('instances.orders.password'),
  });
  await server.stop();
  const down = await look(server);
  expect(down.codes).toEqual(['REDIS_UNREACHABLE']);
  expect(down.view.host?.memory?.totalBytes).toBeGreaterThan(0);
});

test('another server under the name is found; the agent that holds the identity of a restarted one finds nothing', async () => {
  const { server } = await start({ config: { appendonly: 'yes' } });
  const { repository: url, again, codes } = await look(server);
  expect(codes).toEqual([]);
  const repository = await openRepository({ url });
  await createIdentity(repository, 'orders', { replicationIds: ['f'.repeat(40)], addresses: ['10.9.9.9:6379'] });
  expect((await again()).codes).toEqual(['IDENTITY_REFUSED']);
});

test('nothing of another machine is taken for Redis’ own: who is not beside it sees neither its disk nor its memory', async () => {
  const { server } = await start({ config: { appendonly: 'yes' } });
  const { view, codes } = await look(server, {}, false);
  expect(view.host).toBeUndefined();
  expect(codes).toEqual([]);
});

test('a repository on the disk that Redis saves to is told from one elsewhere', async () => {
  const { server } = await start({ config: { appendonly: 'yes' } });
  const { view, folder } = await look(server);
  const same = (await stat(folder)).dev === (await stat(server.dir)).dev;
  expect(view.host?.dump?.holdsRepository).toBe(same);
  const memoryDisk = await stat('/dev/shm').catch(() => undefined);
  if (memoryDisk && memoryDisk.dev !== (await stat(server.dir)).dev) {
    const elsewhere = await readHostFacts(facts(view), 'file:///dev/shm/not-there-yet/repository');
    expect(elsewhere.dump?.holdsRepository).toBe(false);
  }
});

test('the dump’s size and the right to link it are those of the file that is there', async () => {
  const { server, redis } = await start({ config: { appendonly: 'yes' } });
  expect((await look(server)).view.host?.dump?.last).toBeUndefined();
  await redis.set('key', 'v'.repeat(10_000));
  await redis.save();
  const path = join(server.dir, 'dump.rdb');
  const { view } = await look(server);
  expect(view.host?.dump?.last).toEqual({ sizeBytes: (await stat(path)).size, readable: true, linkable: true });
  if (process.geteuid?.() !== 0) {
    await chmod(path, 0o000);
    expect((await look(server)).codes).toEqual(['DUMP_UNREADABLE']);
  }
});

test('a log of another kind, or a huge one, gives no reason and takes no memory', async () => {
  const folder = await temporaryFolder('log');
  undo.push(() => folder.remove());
  const log = join(folder.path, 'redis.log');
  expect(await reasonInLog('redis.log', folder.path)).toBeUndefined();
  const failed =
    '9:C 23 Nov 2026 21:00:00.000 # Failed opening the temp RDB file temp-9.rdb for saving: No space left on device\n';
  await writeFile(log, `${failed}${'1:M 23 Nov 2026 21:00:01.000 * Ready\n'.repeat(100_000)}`);
  expect(await reasonInLog('redis.log', folder.path)).toBeUndefined();
  await writeFile(log, `${failed}1:M 23 Nov 2026 21:00:01.000 # Background saving error\n`);
  expect(await reasonInLog(log)).toBe(
    'Failed opening the temp RDB file temp-9.rdb for saving: No space left on device',
  );
});
