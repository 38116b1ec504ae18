import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { inspectRdb } from '../../rdb/inspect.ts';
import { configurationOf } from '../../redis/config-diff.ts';
import { parseInfo } from '../../redis/info.ts';
import { streamAsPrimary } from '../../restore/as-primary/stream-as-primary.ts';
import { factsOf } from '../../sandbox/dump-facts.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type Flavour, missingFlavour, type RedisOptions, type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const flavours: readonly Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

const io = { signal: new AbortController().signal, onProgress: () => undefined };

const persistences: readonly { persistence: string; config: Record<string, string> }[] = [
  { persistence: 'AOF', config: { appendonly: 'yes', appendfsync: 'always' } },
  { persistence: 'save points', config: { save: '3600 1' } },
];

async function start(options: RedisOptions): Promise<{ server: RedisServer; redis: Redis; target: { url: string } }> {
  const debug: Record<string, string> = options.flavour === 'redis-6.2' ? {} : { 'enable-debug-command': 'local' };
  const server = await startRedis({ ...options, config: { ...debug, ...options.config } });
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  return { server, redis, target: { url: `redis://127.0.0.1:${server.port}` } };
}

async function folder(): Promise<string> {
  const own = await temporaryFolder('as-primary');
  undo.push(() => own.remove());
  return own.path;
}

/** The dump of a server that nobody writes to, its facts, and the server's digest. */
async function dumpOf(source: { server: RedisServer; redis: Redis }) {
  await source.redis.save();
  const path = join(await folder(), 'source.rdb');
  await copyFile(join(source.server.dir, 'dump.rdb'), path);
  const facts = factsOf(await inspectRdb({ path }));
  return { path, facts, digest: await digestOf(source.redis), functions: await functionsOf(source.redis) };
}

const digestOf = async (redis: Redis) => String(await redis.call('DEBUG', 'DIGEST'));
const functionsOf = async (redis: Redis) =>
  JSON.stringify(await redis.call('FUNCTION', 'LIST', 'WITHCODE').catch(() => 'none'));
/** By name: servers answer in an order of their own, which changes. */
const settingsOf = async (redis: Redis) => configurationOf((await redis.config('GET', '*')) as string[]);
const replicationOf = async (redis: Redis) => parseInfo(await redis.info('replication'));

/** What a server answers again after it has been started anew. */
async function restarted(server: RedisServer): Promise<Redis> {
  await server.kill9();
  await server.restart();
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  return redis;
}

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour)).each(persistences)(
    'takes a whole dump in place of what it has, functions too, and has it after a crash ($persistence)',
    async ({ persistence, config }) => {
      const source = await start({ flavour });
      await fillEveryType(source.server);
      await source.redis.select(9);
      await source.redis.set('in another database', '1');
      const dump = await dumpOf(source);
      const { server, redis, target } = await start({
        flavour,
        config: { ...config, masterauth: 'a-secret-of-before', 'replica-read-only': 'no' },
      });
      await redis.set('not in the dump', '1');
      const home = await folder();
      const before = { settings: await settingsOf(redis), id: (await replicationOf(redis)).master_replid };

      const report = await streamAsPrimary({ dumpPath: dump.path, facts: dump.facts, target, home }, io);

      expect(report).toMatchObject({
        keys: dump.facts.keys,
        replacedKeys: 1,
        replicas: 0,
        persisted: persistence === 'AOF' ? 'append-only-file' : 'dump',
      });
      expect(await digestOf(redis)).toBe(dump.digest);
      expect(await functionsOf(redis)).toBe(dump.functions);
      expect(await settingsOf(redis)).toEqual(before.settings);
      const after = await replicationOf(redis);
      expect(after).toMatchObject({
        role: 'master',
        master_replid2: before.id,
        master_replid: report.replicationId.after,
      });
      expect(report.replicationId.before).toBe(before.id);
      await redis.set('written', 'after');
      await redis.del('written');
      expect(await digestOf(await restarted(server))).toBe(dump.digest);
    },
  );
});
