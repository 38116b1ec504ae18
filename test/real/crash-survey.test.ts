import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { followersOfPrimary, otherPrimaries, primaryItself } from '../../incident/crash/copies.ts';
import { type CopiesAsked, surveyCopies } from '../../incident/crash/survey-copies.ts';
import { freePort } from '../support/free-port.ts';
import { ReplicaSet, untilSynced } from '../support/replication.ts';
import { startSentinel } from '../support/sentinel.ts';
import { type Flavour, missingFlavour, type RedisOptions, type RedisServer } from '../support/servers.ts';

const set = new ReplicaSet();
const io = { signal: new AbortController().signal };

afterEach(() => set.stop());

const start = (options: RedisOptions = {}) => set.start(options);
const replicaOf = (server: RedisServer) => ({ replicaof: `127.0.0.1 ${server.port}` });

const survey = (asked: CopiesAsked) => surveyCopies(asked, io);

describe.each<Flavour>(['redis-7.0', 'redis-8.2', 'valkey-9'])('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'after a kill -9 the replicas say what they hold and since when they have been alone',
    async () => {
      const a = await start({ flavour });
      await a.redis.mset('k1', 'v', 'k2', 'v');
      await a.redis.select(3);
      await a.redis.set('k3', 'v');
      const b = await start({ flavour, config: replicaOf(a.server) });
      const c = await start({ flavour, config: replicaOf(b.server) });
      await untilSynced(a.redis, b.redis);
      await untilSynced(a.redis, c.redis);
      const asked = { primary: { url: a.url }, replicas: [b.url] };
      const alive = await survey(asked);
      expect(primaryItself(alive)).toMatchObject({ role: 'primary', keys: 3, ageSeconds: 0 });
      // The replica of the replica is not configured: the replica names it.
      expect(alive.servers.map(({ address }) => address)).toContain(`127.0.0.1:${c.server.port}`);

      const killed = Date.now();
      await a.server.kill9();
      await expect.poll(async () => (await survey(asked)).servers[0]?.follows?.up, { timeout: 20_000 }).toBe(false);
      const found = await survey(asked);
      expect(primaryItself(found)).toBeUndefined();
      expect(found.silent).toMatchObject([
        { address: `127.0.0.1:${a.server.port}`, foundBy: 'configured-primary', code: 'REDIS_UNREACHABLE' },
      ]);
      const replica = found.servers.find(({ address }) => address === `127.0.0.1:${b.server.port}`);
      expect(replica).toMatchObject({
        role: 'replica',
        foundBy: 'configured-replica',
        keys: 3,
        keysByDatabase: { '0': 2, '3': 1 },
        follows: { address: `127.0.0.1:${a.server.port}`, up: false, synchronizing: false },
      });
      // Redis counts whole seconds, and by its own clock.
      expect(Math.abs(Date.parse(replica?.dataAsOf ?? '') - killed)).toBeLessThan(3_000);
      expect(followersOfPrimary(found).map(({ address }) => address)).toEqual([`127.0.0.1:${b.server.port}`]);
      expect(otherPrimaries(found)).toEqual([]);
    },
  );

  test.skipIf(missingFlavour(flavour))('a replica that was promoted by hand is seen as the other primary', async () => {
    const a = await start({ flavour });
    const b = await start({ flavour, config: replicaOf(a.server) });
    await a.redis.set('k', 'v');
    await untilSynced(a.redis, b.redis);
    await a.server.kill9();
    await b.redis.replicaof('NO', 'ONE');
    const found = await survey({ primary: { url: a.url }, replicas: [b.url] });
    expect(otherPrimaries(found)).toMatchObject([
      { address: `127.0.0.1:${b.server.port}`, keys: 1, replication: { previousId: expect.any(String) } },
    ]);
    expect(followersOfPrimary(found)).toEqual([]);
  });
});

test('a replica that was restarted while its primary was gone does not pretend to know the age of its data', async () => {
  const a = await start();
  await a.redis.set('k', 'v');
  const b = await start({ config: { ...replicaOf(a.server), save: '3600 1' } });
  await untilSynced(a.redis, b.redis);
  await b.redis.bgsave().catch(() => {});
  await expect.poll(() => b.redis.info('persistence'), { timeout: 15_000 }).toContain('rdb_bgsave_in_progress:0');
  await a.server.kill9();
  await b.server.restart();
  const [copy] = (await survey({ primary: { url: a.url }, replicas: [b.url] })).servers;
  expect(copy).toMatchObject({ keys: 1, follows: { up: false } });
  expect(copy?.ageSeconds).toBeUndefined();
  expect(copy?.dataAsOf).toBeUndefined();
});

test('the replica that is behind is told from the one that has all', async () => {
  const a = await start();
  const b = await start({ config: replicaOf(a.server) });
  const c = await start({ config: replicaOf(a.server) });
  await a.redis.set('k', 'v');
  await untilSynced(a.redis, b.redis);
  await untilSynced(a.redis, c.redis);
  process.kill(c.server.pid, 'SIGSTOP');
  set.later(() => process.kill(c.server.pid, 'SIGCONT'));
  for (let i = 0; i < 20; i += 1) await a.redis.set(`more${i}`, 'v');
  await untilSynced(a.redis, b.redis);
  const frozen = await survey({ primary: { url: a.url }, replicas: [b.url, c.url] });
  // It accepts connections and answers nothing: the survey ends all the same.
  expect(frozen.silent).toMatchObject([{ address: `127.0.0.1:${c.server.port}` }]);
  await a.redis.call('CLIENT', 'KILL', 'TYPE', 'replica');
  await a.server.kill9();
  process.kill(c.server.pid, 'SIGCONT');
  await expect
    .poll(async () => (await survey({ primary: { url: a.url }, replicas: [b.url, c.url] })).servers.length, {
      timeout: 20_000,
    })
    .toBe(2);
  const found = await survey({ primary: { url: a.url }, replicas: [b.url, c.url] });
  const at = (port: number) => found.servers.find(({ address }) => address.endsWith(`:${port}`));
  expect(at(b.server.port)?.behindBytes).toBe(0);
  expect(at(c.server.port)?.behindBytes).toBeGreaterThanOrEqual(0);
});

test('Sentinels that promoted another server are believed, and the old address is known under its number', async () => {
  const a = await start();
  const b = await start({ config: replicaOf(a.server) });
  await a.redis.set('k', 'v');
  await untilSynced(a.redis, b.redis);
  const sentinel = await startSentinel({
    primaryPort: a.server.port,
    config: ['sentinel down-after-milliseconds main 1000', 'sentinel failover-timeout main 5000'],
  });
  set.later(() => sentinel.stop());
  const gone = `127.0.0.1:${await freePort()}`;
  const asked: CopiesAsked = {
    primary: { url: a.url.replace('127.0.0.1', 'localhost') },
    replicas: [],
    sentinel: { master: 'main', addresses: [gone, `127.0.0.1:${sentinel.port}`] },
  };
  await expect
    .poll(async () => (await survey(asked)).sentinels?.answers[0]?.replicas, { timeout: 30_000 })
    .toEqual([`127.0.0.1:${b.server.port}`]);
  const before = await survey(asked);
  expect(before.sentinels).toMatchObject({ promoted: false, willPromote: false, silent: [{ address: gone }] });
  expect(before.servers).toMatchObject([{ foundBy: 'configured-primary' }, { foundBy: 'sentinel', role: 'replica' }]);

  await a.server.kill9();
  await expect.poll(async () => (await survey(asked)).sentinels?.promoted, { timeout: 60_000 }).toBe(true);
  await expect
    .poll(async () => otherPrimaries(await survey(asked)).map(({ address }) => address), { timeout: 30_000 })
    .toEqual([`127.0.0.1:${b.server.port}`]);
  const after = await survey(asked);
  expect(after.sentinels?.primary).toBe(`127.0.0.1:${b.server.port}`);
  // The Sentinel lists the old primary as a replica of the new one: it is not asked a second time.
  expect(after.silent).toHaveLength(1);
});

test('a server that accepts and says nothing costs seconds, not minutes', async () => {
  const mute = createServer(() => {});
  await new Promise<void>((ready) => mute.listen(0, '127.0.0.1', ready));
  set.later(() => mute.close());
  const { port } = mute.address() as { port: number };
  const began = Date.now();
  const found = await surveyCopies(
    {
      primary: { url: `redis://127.0.0.1:${port}` },
      replicas: [`redis://127.0.0.1:${port + 1 > 65_535 ? 1 : port + 1}`],
    },
    io,
    { connectTimeoutMs: 500, commandTimeoutMs: 500 },
  );
  expect(found.servers).toEqual([]);
  expect(found.silent[0]).toMatchObject({ foundBy: 'configured-primary', code: 'REDIS_UNREACHABLE' });
  expect(Date.now() - began).toBeLessThan(15_000);
});

test('a server that refuses the login is one that runs', async () => {
  const a = await start();
  await a.redis.config('SET', 'requirepass', 'other');
  const found = await survey({ primary: { url: a.url, password: 'wrong' }, replicas: [] });
  expect(found.silent).toMatchObject([{ code: 'REDIS_REFUSED_LOGIN' }]);
  expect(JSON.stringify(found)).not.toContain('wrong');
});
