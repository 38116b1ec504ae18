import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { startLeashed } from '../../process/leash.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { configurationOf } from '../../redis/config-diff.ts';
import { connectRedis, type RedisTarget } from '../../redis/connection.ts';
import { cleanUpAsPrimary, streamAsPrimary } from '../../restore/as-primary/stream-as-primary.ts';
import { factsOf } from '../../sandbox/dump-facts.ts';
import { makeCertificates, missingCertificates } from '../support/certificates.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { freePort } from '../support/free-port.ts';
import {
  type Flavour,
  missingFlavour,
  type RedisOptions,
  type RedisServer,
  redisBinary,
  startRedis,
} from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const flavours: readonly Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
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

async function dumpOf({ server, redis }: { server: RedisServer; redis: Redis }) {
  await redis.save();
  const path = join(await folder(), 'source.rdb');
  await copyFile(join(server.dir, 'dump.rdb'), path);
  return { dumpPath: path, facts: factsOf(await inspectRdb({ path })) };
}

const settingsOf = async (redis: Redis) => configurationOf((await redis.config('GET', '*')) as string[]);

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'no write is accepted and then lost, not with replica-read-only off; Redis 7 and newer go on reading while they load',
    async () => {
      const source = await start({ flavour });
      for (let at = 0; at < 40; at += 1) await source.redis.set(`big:${at}`, randomBytes(1_000_000));
      const dump = await dumpOf(source);
      const { server, redis } = await start({
        flavour,
        config: { 'key-load-delay': '20000', 'replica-read-only': 'no' },
      });
      await redis.set('old', '1');
      const answers = new Set<string>();
      const accepted: string[] = [];
      const client = await connectTo(server);
      undo.push(() => client.disconnect());
      let isBound = false;
      let isOver = false;
      const using = (async () => {
        for (let at = 0; !isOver; at += 1) {
          if (isBound) {
            const key = `written:${at}`;
            const refused = () => undefined;
            answers.add(await client.get('old').then(String, (error: Error) => error.message.split(' ')[0] as string));
            await client.set(key, '1').then(() => accepted.push(key), refused);
          }
          await sleep(5);
        }
      })();
      // From here on the target is a replica: what it accepts before the end would be gone with the old data.
      const onProgress = () => {
        isBound = true;
      };
      const target = { url: `redis://127.0.0.1:${server.port}` };
      await streamAsPrimary({ ...dump, target, home: await folder() }, { ...io, onProgress });
      await expect.poll(() => accepted.length, { timeout: 30_000 }).toBeGreaterThan(0);
      isOver = true;
      await using;
      expect(await redis.exists(...accepted)).toBe(accepted.length);
      expect(await redis.exists('old')).toBe(0);
      expect([...answers]).toContain(flavour === 'redis-6.2' ? 'LOADING' : '1');
    },
  );
});

test('by a unix socket, and by a user of its own', async () => {
  const source = await start({});
  await fillEveryType(source.server);
  const dump = await dumpOf(source);
  const { server, redis } = await start({ unixsocket: true });
  await redis.acl('SETUSER', 'agent', 'on', '>of-the-agent', '~*', '&*', '+@all');
  const report = await streamAsPrimary(
    { ...dump, target: { url: `unix://${server.socket}` }, home: await folder() },
    io,
  );
  expect(report.keys).toBe(dump.facts.keys);
  const named = { url: `redis://agent@127.0.0.1:${server.port}`, password: 'of-the-agent' };
  expect((await streamAsPrimary({ ...dump, target: named, home: await folder() }, io)).keys).toBe(dump.facts.keys);
});

test.skipIf(missingCertificates())(
  'a target that speaks TLS only, replication included, and has it back afterwards',
  async ({ skip }) => {
    const certificates = await folder();
    await makeCertificates(certificates);
    const tlsPort = await freePort();
    const source = await start({});
    await fillEveryType(source.server);
    const dump = await dumpOf(source);
    const { redis } = await start({
      config: {
        'tls-port': String(tlsPort),
        'tls-replication': 'yes',
        'tls-cert-file': join(certificates, 'server.pem'),
        'tls-key-file': join(certificates, 'server.key'),
        'tls-ca-cert-file': join(certificates, 'ca.pem'),
        'tls-auth-clients': 'no',
      },
    }).catch(() => skip('this server has no TLS'));
    const before = await settingsOf(redis);
    expect(before['tls-replication']).toBe('yes');
    const ca = await readFile(join(certificates, 'ca.pem'), 'utf8');
    const target: RedisTarget = { url: `rediss://127.0.0.1:${tlsPort}`, tls: { ca } };
    const report = await streamAsPrimary({ ...dump, target, home: await folder() }, io);
    expect(report.keys).toBe(dump.facts.keys);
    expect(await settingsOf(redis)).toEqual(before);
  },
);

test('a server that Sentinels watch is refused, unless it is told that this is meant', async () => {
  const source = await start({});
  await source.redis.set('a', '1');
  const dump = await dumpOf(source);
  const { server } = await start({});
  const sentinel = new Redis({ port: server.port, connectionName: 'sentinel-0a1b2c3d-cmd', disableClientInfo: true });
  undo.push(() => sentinel.disconnect());
  await sentinel.ping();
  const request = { ...dump, target: { url: `redis://127.0.0.1:${server.port}` }, home: await folder() };
  await expect(streamAsPrimary(request, io)).rejects.toMatchObject({
    code: 'STREAM_REFUSED',
    message: expect.stringContaining('Sentinels watch the target'),
  });
  expect((await streamAsPrimary({ ...request, allow: { sentinels: true } }, io)).keys).toBe(1);
});

test.skipIf(cannotUnshare())(
  'a target in a network of its own, as in a container, is given up and put back',
  async () => {
    const source = await start({});
    await source.redis.set('a', '1');
    const dump = await dumpOf(source);
    const dir = await folder();
    const socket = join(dir, 'redis.sock');
    const program = await startLeashed({
      name: 'redis in a network of its own',
      command: 'unshare',
      args: ['--net', redisBinary(), '-'],
      stdin: `port 0\nunixsocket ${socket}\ndir ${dir}\nsave ""\n`,
      cwd: dir,
    });
    undo.push(() => program.stop());
    const target = { url: `unix://${socket}` };
    const redis = await until(() => connectRedis(target));
    undo.push(() => redis.disconnect());
    await redis.set('old', '1');
    const before = await settingsOf(redis);
    const request = { ...dump, target, home: await folder(), connectTimeoutMs: 3_000 };
    await expect(streamAsPrimary(request, io)).rejects.toMatchObject({
      code: 'STREAM_BROKEN_OFF',
      message: expect.stringContaining('did not connect to this process'),
    });
    expect(await settingsOf(redis)).toEqual(before);
    expect(await redis.keys('*')).toEqual(['old']);
    expect(await redis.set('written', '1')).toBe('OK');
  },
);

test('a target that is frozen does not hold a cancelled step up, and is put back once it goes on', async () => {
  const source = await start({});
  for (let at = 0; at < 40; at += 1) await source.redis.set(`big:${at}`, randomBytes(1_000_000));
  const dump = await dumpOf(source);
  const { server, redis } = await start({ config: { 'key-load-delay': '20000' } });
  await redis.set('old', '1');
  const before = await settingsOf(redis);
  const home = await folder();
  const target = { url: `redis://127.0.0.1:${server.port}` };
  const cancel = new AbortController();
  const reason = new Error('cancelled by the test');
  const onProgress = () => {
    process.kill(server.pid, 'SIGSTOP');
    setTimeout(() => cancel.abort(reason), 500);
  };
  undo.push(() => process.kill(server.pid, 'SIGCONT'));
  const streaming = streamAsPrimary({ ...dump, target, home }, { signal: cancel.signal, onProgress });
  await expect(streaming).rejects.toBe(reason);
  process.kill(server.pid, 'SIGCONT');
  expect(await cleanUpAsPrimary(target, home)).toBe('undone');
  expect(await settingsOf(redis)).toEqual(before);
  expect(await redis.set('written', '1')).toBe('OK');
});

/** Why no network namespace can be made here, or undefined. */
function cannotUnshare(): string | undefined {
  return spawnSync('unshare', ['--net', 'true']).status === 0 ? undefined : 'no right to make a network of its own';
}

async function until<T>(attempt: () => Promise<T>): Promise<T> {
  for (const deadline = Date.now() + 20_000; ; await sleep(50)) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

test('an expiry in the past comes with the dump and goes by itself; one in the future stays exact', async () => {
  const source = await start({});
  await source.redis.set('gone', '1', 'PX', 1_500);
  await source.redis.set('later', '1', 'PXAT', 4_102_444_800_000);
  const dump = await dumpOf(source);
  await sleep(1_600);
  const { server, redis } = await start({});
  await streamAsPrimary({ ...dump, target: { url: `redis://127.0.0.1:${server.port}` }, home: await folder() }, io);
  expect(await redis.get('gone')).toBeNull();
  expect(await redis.call('PEXPIRETIME', 'later')).toBe(4_102_444_800_000);
  await expect.poll(() => redis.dbsize(), { timeout: 30_000 }).toBe(1);
});
