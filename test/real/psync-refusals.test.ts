import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { connectRedis, type RedisTarget } from '../../redis/connection.ts';
import { readInfo } from '../../redis/info.ts';
import { receiveDump } from '../../redis/psync.ts';
import { freePort } from '../support/free-port.ts';
import { startSentinel } from '../support/sentinel.ts';
import { type RedisOptions, type RedisServer, randomPassword, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(options: RedisOptions = {}): Promise<{ server: RedisServer; redis: Redis; target: RedisTarget }> {
  const server = await startRedis(options);
  undo.push(() => server.stop());
  const target = { url: `redis://127.0.0.1:${server.port}`, password: options.password };
  const redis = await connectRedis(target);
  undo.push(() => redis.disconnect());
  return { server, redis, target };
}

async function receive(target: RedisTarget): Promise<Buffer> {
  return buffer((await receiveDump(target)).chunks);
}

const fast = { 'repl-diskless-sync-delay': '0' };

test('a wrong or missing password is said as such, and the password stands nowhere in the error', async () => {
  const password = randomPassword();
  const { target } = await start({ password, config: fast });
  expect((await receive(target)).subarray(0, 5).toString()).toBe('REDIS');
  await expect(receive({ url: target.url })).rejects.toMatchObject({ code: 'REDIS_REFUSED_LOGIN', retryable: false });
  const wrong = randomPassword();
  const error = await receive({ url: target.url, password: wrong }).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: 'REDIS_REFUSED_LOGIN' });
  expect(JSON.stringify(error) + String(error)).not.toContain(wrong);
});

test('a user needs the rights that the error names, and no more', async () => {
  const { redis, target } = await start({ config: fast });
  const password = randomPassword();
  const user = { url: target.url.replace('//', '//backup@'), password };
  await redis.call('ACL', 'SETUSER', 'backup', 'on', `>${password}`, '+ping', '+info');
  await expect(receive(user)).rejects.toMatchObject({
    code: 'REDIS_REPLICATION_FORBIDDEN',
    next: expect.stringContaining('+psync +replconf'),
    retryable: false,
  });
  await redis.call('ACL', 'SETUSER', 'backup', '+replconf');
  await expect(receive(user)).rejects.toMatchObject({ code: 'REDIS_REPLICATION_FORBIDDEN' });
  await redis.call('ACL', 'SETUSER', 'backup', '+psync');
  expect((await receive(user)).subarray(0, 5).toString()).toBe('REDIS');
  await redis.call('ACL', 'SETUSER', 'backup', '-info');
  expect((await receiveDump(user)).server).toBeUndefined();
});

test('a provider that renamed PSYNC away is no reason to try again', async () => {
  const { target } = await start({ config: { 'rename-command': 'PSYNC ""' } });
  await expect(receive(target)).rejects.toMatchObject({ code: 'REDIS_REPLICATION_FORBIDDEN', retryable: false });
});

test('a closed port is worth another try', async () => {
  await expect(receive({ url: `redis://127.0.0.1:${await freePort()}` })).rejects.toMatchObject({
    code: 'REDIS_UNREACHABLE',
    retryable: true,
  });
});

test('a server that loads its data is waited for, not taken for broken', async () => {
  const { server, redis, target } = await start({ config: { ...fast, save: '3600 1' } });
  await redis.eval("for i=1,1000 do redis.call('SET', 'key:'..i, i) end", 0);
  await redis.save();
  await server.kill9();
  const loading = server.restart({
    config: { 'key-load-delay': '2000', 'loading-process-events-interval-bytes': '1024' },
  });
  const seen = new Set<string>();
  for (;;) {
    const code = await receive(target).then(
      () => 'received',
      (error: { code: string }) => error.code,
    );
    seen.add(code);
    if (code === 'received') break;
  }
  await loading;
  expect([...seen].filter((code) => code !== 'REDIS_UNREACHABLE')).toEqual(['REDIS_LOADING', 'received']);
});

test('a replica gives its dump while it is in sync, and refuses when it has lost its primary', async () => {
  const primary = await start({ config: { ...fast, 'repl-ping-replica-period': '1' } });
  const replica = await start({
    config: { ...fast, replicaof: `127.0.0.1 ${primary.server.port}`, 'repl-timeout': '2' },
  });
  await primary.redis.set('a', 'b');
  const link = async () => (await readInfo(replica.redis, 'replication')).master_link_status;
  await expect.poll(link, { timeout: 10_000 }).toBe('up');
  await primary.redis.wait(1, 5_000);
  const dump = await receiveDump(replica.target);
  expect((await buffer(dump.chunks)).subarray(0, 5).toString()).toBe('REDIS');
  expect(dump.replId).toBe((await readInfo(primary.redis, 'replication')).master_replid);

  primary.redis.disconnect();
  await primary.server.stop();
  await expect.poll(link, { timeout: 10_000 }).toBe('down');
  await expect(receive(replica.target)).rejects.toMatchObject({ code: 'REDIS_REPLICA_NOT_IN_SYNC', retryable: true });
});

test('a unix socket serves as well', async () => {
  const { server, redis } = await start({ unixsocket: true, config: fast });
  await redis.set('a', 'b');
  expect((await receive({ url: `unix://${server.socket}` })).at(-9)).toBe(0xff);
});

test('over TLS with a private CA and a client certificate; without the CA nothing is believed', async () => {
  const folder = await temporaryFolder('tls');
  undo.push(() => folder.remove());
  const at = (name: string) => join(folder.path, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder.path, stdio: 'pipe' });
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-days',
    '2',
    '-subj',
    '/CN=test ca',
  );
  for (const name of ['server', 'client']) {
    openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=${name}`,
      '-addext',
      'subjectAltName=IP:127.0.0.1,DNS:localhost',
    );
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      `${name}.crt`,
      '-days',
      '2',
      '-copy_extensions',
      'copy',
    );
  }
  const tlsPort = await freePort();
  await start({
    config: {
      ...fast,
      'tls-port': String(tlsPort),
      'tls-cert-file': at('server.crt'),
      'tls-key-file': at('server.key'),
      'tls-ca-cert-file': at('ca.crt'),
      'tls-auth-clients': 'yes',
    },
  });
  const pem = (name: string) => readFileSync(at(name), 'utf8');
  const tls = { ca: pem('ca.crt'), cert: pem('client.crt'), key: pem('client.key') };
  for (const host of ['127.0.0.1', 'localhost']) {
    expect((await receive({ url: `rediss://${host}:${tlsPort}`, tls })).at(-9)).toBe(0xff);
  }
  await expect(
    receive({ url: `rediss://127.0.0.1:${tlsPort}`, tls: { cert: tls.cert, key: tls.key } }),
  ).rejects.toMatchObject({
    code: 'REDIS_UNREACHABLE',
  });
  await expect(receive({ url: `rediss://127.0.0.1:${tlsPort}`, tls: { ca: tls.ca } })).rejects.toMatchObject({
    name: expect.stringMatching(/^REDIS_(UNREACHABLE|DUMP_INTERRUPTED)$/),
  });
});

test('Sentinel does not take a dump on its way for a replica', async () => {
  const { server, redis, target } = await start({
    config: { ...fast, 'repl-diskless-sync': 'yes', rdbcompression: 'no' },
  });
  await redis.eval("for i=1,200 do redis.call('SET', 'big:'..i, string.rep('x', 200000)) end", 0);
  const watching = await startSentinel({ primaryPort: server.port });
  undo.push(() => watching.stop());
  const sentinel = await connectRedis({ url: `redis://127.0.0.1:${watching.port}` });
  undo.push(() => sentinel.disconnect());
  const replicas = async () => (await sentinel.call('SENTINEL', 'REPLICAS', 'main')) as unknown[];
  const refreshed = async () => {
    const fields = (await sentinel.call('SENTINEL', 'MASTER', 'main')) as string[];
    return Number(fields[fields.indexOf('info-refresh') + 1]);
  };
  const dump = await receiveDump(target);
  let first = true;
  let seenByInfo = '';
  for await (const _ of dump.chunks) {
    if (!first) continue;
    first = false;
    seenByInfo = (await readInfo(redis, 'replication')).slave0 ?? '';
    // Sentinel reads INFO every ten seconds: wait until it has done so while we hold the transfer.
    let last = await refreshed();
    await expect
      .poll(
        async () => {
          const now = await refreshed();
          const again = now < last;
          last = now;
          return again;
        },
        { timeout: 15_000, interval: 200 },
      )
      .toBe(true);
  }
  expect(await replicas()).toEqual([]);
  expect(seenByInfo).toMatch(/^ip=redis-rewind\.invalid,port=0,state=/);
});
