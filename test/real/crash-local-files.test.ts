import { readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { compareLocal } from '../../incident/crash/compare-local.ts';
import { readDeathTraces } from '../../incident/crash/death-traces.ts';
import { readLocalFiles } from '../../incident/crash/local-files.ts';
import { type LocalSettings, localSettings } from '../../incident/crash/local-settings.ts';
import { explainDeath } from '../../incident/crash/why-it-died.ts';
import { connectRedis } from '../../redis/connection.ts';
import { describeServer } from '../../redis/server-description.ts';
import { backup } from '../support/crash-facts.ts';
import { type Flavour, missingFlavour, type RedisOptions, type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => unknown)[] = [];
const io = { signal: new AbortController().signal, onProgress: () => {} };

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(
  options: RedisOptions = {},
): Promise<{ server: RedisServer; redis: Redis; settings: LocalSettings }> {
  const server = await startRedis(options);
  undo.push(() => server.stop());
  const redis = await connectRedis({ url: `redis://127.0.0.1:${server.port}` });
  undo.push(() => redis.disconnect());
  // As server.json has it.
  const { configuration } = await describeServer(redis, { includeAcl: false });
  return { server, redis, settings: localSettings(configuration, 'server.json') as LocalSettings };
}

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'what a killed server would load from its dump is counted, with the time of its save',
    async () => {
      const { server, redis, settings } = await start({ flavour });
      await redis.mset('a', '1', 'b', '2');
      await redis.select(2);
      await redis.set('c', '3');
      // A dump's time is by time(2), which may be a tick of the timer behind this clock.
      const savedFrom = Math.floor((Date.now() - 20) / 1000) * 1000;
      await redis.save();
      await redis.set('d', 'lost');
      await server.kill9();
      const local = await readLocalFiles(settings, io);
      expect(local).toMatchObject({
        loads: 'dump',
        dump: { state: 'whole', keys: 3, keysByDatabase: { '0': 2, '2': 1 }, path: join(server.dir, 'dump.rdb') },
      });
      expect(Date.parse(local.holdsUntil?.at ?? '')).toBeGreaterThanOrEqual(savedFrom);
      expect(Date.parse(local.holdsUntil?.at ?? '')).toBeLessThanOrEqual(Date.now());
      const older = backup(0, { time: new Date(Date.now() - 60_000).toISOString(), keys: 3 });
      expect(compareLocal(local, [older]).state).toBe('good');
      const newer = backup(0, { time: new Date(Date.now() + 60_000).toISOString(), keys: 3 });
      expect(compareLocal(local, [newer])).toMatchObject({ state: 'older', backup: newer.id });
    },
  );

  test.skipIf(missingFlavour(flavour))(
    'an append-only file is found in the form of its server, with the time of its last write',
    async () => {
      const { server, redis, settings } = await start({ flavour, config: { appendonly: 'yes' } });
      await redis.mset('a', '1', 'b', '2');
      await server.kill9();
      const local = await readLocalFiles(settings, io);
      expect(local).toMatchObject({
        loads: 'aof',
        aof: { form: flavour === 'redis-6.2' ? 'one-file' : 'parts', missingFiles: [], unnamedFiles: [] },
      });
      expect(local.aof?.sizeBytes).toBeGreaterThan(0);
      expect(Math.abs(Date.parse(local.holdsUntil?.at ?? '') - Date.now())).toBeLessThan(60_000);
    },
  );
});

test('a dump that FLUSHALL emptied is whole, and empty beside the backup', async () => {
  const { server, redis, settings } = await start({ config: { save: '3600 1' } });
  await redis.mset('a', '1', 'b', '2');
  await redis.flushall();
  await server.kill9();
  const local = await readLocalFiles(settings, io);
  expect(local.dump).toMatchObject({ state: 'whole', keys: 0 });
  expect(compareLocal(local, [backup(3_600)])).toMatchObject({ state: 'empty' });
});

test('a dump that is gone, cut short or of another kind is told apart from a good one', async () => {
  const { server, redis, settings } = await start();
  await redis.mset('a', '1', 'b', '2');
  await redis.save();
  await server.kill9();
  const path = join(server.dir, 'dump.rdb');
  await truncate(path, 60);
  expect((await readLocalFiles(settings, io)).dump).toMatchObject({
    state: 'damaged',
    damage: { code: 'RDB_TRUNCATED' },
  });
  await writeFile(path, 'REDIS0099 nobody knows this');
  expect((await readLocalFiles(settings, io)).dump.state).toBe('not-understood');
  await writeFile(path, '<html>');
  expect((await readLocalFiles(settings, io)).dump.state).toBe('damaged');
  await rm(path);
  const missing = await readLocalFiles(settings, io);
  expect(missing).toMatchObject({ loads: 'nothing', dump: { state: 'missing' } });
  expect(compareLocal(missing, [])).toMatchObject({ state: 'missing' });
});

test('an append-only file without its manifest would be an EMPTY start, whatever lies beside it', async () => {
  const { server, redis, settings } = await start({ config: { appendonly: 'yes' } });
  await redis.mset('a', '1', 'b', '2');
  await redis.save();
  await server.kill9();
  const folder = join(server.dir, 'appendonlydir');
  await rename(join(folder, 'appendonly.aof.manifest'), join(server.dir, 'manifest-moved'));
  const local = await readLocalFiles(settings, io);
  expect(local).toMatchObject({ loads: 'aof-missing', dump: { state: 'whole', keys: 2 } });
  expect(local.aof?.unnamedFiles.length).toBe((await readdir(folder)).length);
  expect(compareLocal(local, []).sentence).toContain('would start EMPTY');
  // It is so: Redis itself starts with nothing.
  await server.restart();
  const after = await connectRedis({ url: `redis://127.0.0.1:${server.port}` });
  undo.push(() => after.disconnect());
  expect(await after.dbsize()).toBe(0);
});

test('an incr that the manifest names and that is gone is a start that fails', async () => {
  const { server, redis, settings } = await start({ config: { appendonly: 'yes' } });
  await redis.set('a', '1');
  await server.kill9();
  const folder = join(server.dir, 'appendonlydir');
  const incr = (await readdir(folder)).find((name) => name.includes('.incr.')) as string;
  await rm(join(folder, incr));
  const local = await readLocalFiles(settings, io);
  expect(local.aof?.missingFiles).toEqual([incr]);
  expect(compareLocal(local, []).state).toBe('damaged');
});

test('a manifest that the server would not take is a start that fails', async () => {
  const { server, redis, settings } = await start({ config: { appendonly: 'yes' } });
  await redis.set('a', '1');
  await server.kill9();
  await writeFile(
    join(server.dir, 'appendonlydir', 'appendonly.aof.manifest'),
    'file appendonly.aof.1.incr.aof seq x type i\n',
  );
  const local = await readLocalFiles(settings, io);
  expect(compareLocal(local, [])).toMatchObject({ state: 'damaged', sentence: expect.stringContaining('line 1') });
});

test.each(flavours)('%s: its own log says why it ended', async (flavour) => {
  if (missingFlavour(flavour)) return;
  // A folder of its own: that of a server which does not start is removed with it.
  const folder = await temporaryFolder('crash');
  undo.push(() => folder.remove());
  const { server, redis, settings } = await start({ flavour, dir: folder.path, config: { save: '3600 1' } });
  await redis.set('a', '1');
  const traced = async () => explainDeath(await readDeathTraces({ logFile: server.logFile, dir: settings.dir }));
  await redis.call('SHUTDOWN', 'NOSAVE').catch(() => {});
  await server.exited;
  expect(await traced()).toMatchObject({ cause: 'shut-down', certainty: 'shown', failedStarts: 0 });

  await server.restart();
  process.kill(server.pid, 'SIGSEGV');
  const { signal } = await server.exited;
  const crashed = await traced();
  expect(['crashed', 'killed']).toContain(crashed.cause);
  expect(crashed.sentences.join(' ')).toContain('crashed by SIGSEGV');
  expect(signal === 'SIGSEGV' || signal === null).toBe(true);
  expect(Math.abs(Date.parse(crashed.diedAt?.at ?? '') - Date.now())).toBeLessThan(60_000);

  await writeFile(join(server.dir, 'dump.rdb'), 'REDIS0009 short');
  await server.restart().catch(() => {});
  const refused = await traced();
  expect(refused.sentences.join(' ')).toMatch(/short read|not its own/);
  expect(refused.failedStarts).toBe(1);
});

test('a killed server has a log that just stops', async () => {
  const { server } = await start();
  await server.kill9();
  const died = explainDeath({
    ...(await readDeathTraces({ logFile: server.logFile })),
    lastExit: { signal: 'SIGKILL' },
  });
  expect(['killed', 'killed-for-memory']).toContain(died.cause);
  expect(Math.abs(Date.parse(died.lastSeenAlive?.at ?? '') - Date.now())).toBeLessThan(60_000);
});

test('a log that is not there is named as a gap', async () => {
  const died = explainDeath(await readDeathTraces({ logFile: '/nonexistent/redis.log' }));
  expect(died.unknown.join()).toContain('cannot be read (ENOENT)');
});

test('a description without a folder does not tell where the files are', () => {
  expect(localSettings({ appendonly: 'yes' }, 'x')).toBeUndefined();
  expect(localSettings({ dir: '/d', logfile: 'redis.log' }, 'x')).toMatchObject({
    dbfilename: 'dump.rdb',
    appendonly: false,
    appenddirname: 'appendonlydir',
    logFile: '/d/redis.log',
  });
});
