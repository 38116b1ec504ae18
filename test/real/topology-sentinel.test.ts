import { afterEach, expect, test } from 'vitest';
import { connectRedis, withRedis } from '../../redis/connection.ts';
import { readInfo } from '../../redis/info.ts';
import { atPrimary, findPrimary } from '../../redis/sentinel.ts';
import { freePort } from '../support/free-port.ts';
import { type SentinelServer, startSentinel } from '../support/sentinel.ts';
import { type RedisServer, randomPassword, startRedis } from '../support/servers.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function redisServer(config: Record<string, string> = {}, password?: string): Promise<RedisServer> {
  const server = await startRedis({ password, config: { 'repl-diskless-sync-delay': '0', ...config } });
  undo.push(() => server.stop());
  return server;
}

async function sentinelFor(
  primary: RedisServer,
  options: Partial<Parameters<typeof startSentinel>[0]> = {},
): Promise<SentinelServer> {
  const sentinel = await startSentinel({ primaryPort: primary.port, ...options });
  undo.push(() => sentinel.stop());
  return sentinel;
}

test('the primary is found where the first Sentinel is gone and the second does not know the name', async () => {
  const password = randomPassword();
  const primary = await redisServer();
  const stranger = await sentinelFor(primary, { password, config: ['sentinel failover-timeout main 1000'] });
  const remove = await connectRedis({ url: `redis://127.0.0.1:${stranger.port}`, password });
  await remove.call('SENTINEL', 'REMOVE', 'main');
  remove.disconnect();
  const knowing = await sentinelFor(primary, { password });
  const gone = `127.0.0.1:${await freePort()}`;
  const addresses = [gone, `127.0.0.1:${stranger.port}`, `redis://127.0.0.1:${knowing.port}`];
  const found = await findPrimary({ master: 'main', addresses, password });
  expect(found).toMatchObject({ host: '127.0.0.1', port: primary.port, down: false, askedOf: addresses[2] });
  expect(found.skipped.map(({ address }) => address)).toEqual(addresses.slice(0, 2));
  expect(found.skipped[1]?.reason).toContain('No such master');
});

test('a Sentinel that was cut off during a failover is not believed', async () => {
  const password = randomPassword();
  const first = await redisServer({ masterauth: password }, password);
  const second = await redisServer({ masterauth: password, replicaof: `127.0.0.1 ${first.port}` }, password);
  // A new connection each time: Sentinel ends the clients of a server that it promotes.
  const ofSecond = (field: string) =>
    withRedis(
      { url: `redis://127.0.0.1:${second.port}`, password },
      async (redis) => (await readInfo(redis, 'replication'))[field],
    );
  await expect.poll(() => ofSecond('master_link_status'), { timeout: 10_000 }).toBe('up');
  // The one without Redis' password talks to nobody, so it never hears of the failover that the other makes.
  const cutOff = await sentinelFor(first);
  const awake = await sentinelFor(first, { config: [`sentinel auth-pass main ${password}`] });
  const control = await connectRedis({ url: `redis://127.0.0.1:${awake.port}` });
  undo.push(() => control.disconnect());
  await expect
    .poll(async () => String(await control.call('SENTINEL', 'REPLICAS', 'main')), { timeout: 20_000 })
    .toContain('master-link-status,ok');
  await control.call('SENTINEL', 'FAILOVER', 'main');
  await expect.poll(() => ofSecond('role').catch(() => ''), { timeout: 30_000, interval: 250 }).toBe('master');

  const addresses = [`127.0.0.1:${cutOff.port}`, `127.0.0.1:${awake.port}`];
  expect(await findPrimary({ master: 'main', addresses: addresses.slice(0, 1) })).toMatchObject({ port: first.port });
  await expect
    .poll(() => findPrimary({ master: 'main', addresses }), { timeout: 15_000 })
    .toMatchObject({ port: second.port, askedOf: addresses[1] });
});

test('a wrong password, an unknown name and silence are three errors', async () => {
  const password = randomPassword();
  const primary = await redisServer();
  const sentinel = await sentinelFor(primary, { password });
  const addresses = [`127.0.0.1:${sentinel.port}`];
  await expect(findPrimary({ master: 'main', addresses, password: randomPassword() })).rejects.toMatchObject({
    code: 'REDIS_REFUSED_LOGIN',
  });
  await expect(findPrimary({ master: 'orders', addresses, password })).rejects.toMatchObject({
    code: 'REDIS_SENTINEL_UNKNOWN_MASTER',
    retryable: false,
  });
  await expect(findPrimary({ master: 'main', addresses: [`127.0.0.1:${await freePort()}`] })).rejects.toMatchObject({
    code: 'REDIS_SENTINEL_SILENT',
    retryable: true,
  });
});

test('the login stays with the address that the Sentinels name', () => {
  const target = { url: 'rediss://backup@old.internal:6379', password: 'secret', tls: { ca: 'pem' } };
  expect(atPrimary(target, { host: '10.0.0.7', port: 6380 })).toEqual({
    ...target,
    url: 'rediss://backup@10.0.0.7:6380',
  });
  expect(atPrimary(target, { host: 'fd00::7', port: 6380 }).url).toBe('rediss://backup@[fd00::7]:6380');
});
