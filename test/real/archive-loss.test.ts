import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openLosses } from '../../archive/loss/loss-record.ts';
import { asOwnChange } from '../../archive/loss/own-change.ts';
import { pruneOwnChanges } from '../../archive/loss/prune-own-changes.ts';
import type { ToldLoss } from '../../archive/loss/told-loss.ts';
import { findMoment } from '../../archive/read/find-moment.ts';
import { drawArchive } from '../../archive/read/timeline.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { streamAsPrimary } from '../../restore/as-primary/stream-as-primary.ts';
import { factsOf } from '../../sandbox/dump-facts.ts';
import { archiveContext, followable, instance, inTheFile, readArchive, rewritten, until } from '../support/archive.ts';
import { debugAllowed } from '../support/data-digest.ts';
import { connectTo } from '../support/dataset.ts';
import { type Watching, watchLosses } from '../support/loss.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let server: RedisServer;
let redis: Redis;
let context: InstanceContext;
let watching: Watching;

const keys = 30_000;
const config = { ...followable, ...debugAllowed() };

beforeEach(async () => {
  folder = await temporaryFolder('archive-loss');
  server = await startRedis({ config });
  redis = await connectTo(server);
  context = await archiveContext(server, { home: join(folder.path, 'home'), repository: join(folder.path, 'store') });
  await populate(0, keys);
  // DEBUG POPULATE stands in no append-only file: a base has it.
  await rewritten(redis);
  watching = watchLosses(context);
  await watching.looked();
});
afterEach(async () => {
  await watching?.stop();
  redis?.disconnect();
  await server?.stop();
  await folder?.remove();
});

async function populate(database: number, count: number, prefix = 'key', on = redis): Promise<void> {
  await on.select(database);
  await on.call('DEBUG', 'POPULATE', String(count), prefix);
  await on.select(0);
}

async function reconnected(): Promise<void> {
  redis.disconnect();
  redis = await connectTo(server);
}

/** Whatever came before was no loss: a flush behind it is the first one that is told. */
async function nothingBefore(): Promise<void> {
  await redis.set('the last', 'write');
  await watching.looked();
  await redis.flushall();
  const { told, pins } = await watching.loss();
  expect(told).toMatchObject({ kind: 'flush', command: 'FLUSHALL' });
  expect(watching.told).toHaveLength(1);
  expect(pins).toHaveLength(1);
}

/** What the pinned moment holds. */
async function pinnedMoment(pins: Awaited<ReturnType<Watching['loss']>>['pins']) {
  const { good } = pins[0]!;
  const asked = { kind: 'position' as const, position: good.position };
  return until('the moment is in the archive', () =>
    findMoment({ repository: context.repository, instance }, asked, { timeline: good.timeline }).catch(() => undefined),
  );
}

describe('a loss is told once, and its last good moment is pinned', () => {
  test('FLUSHALL, right before the command, also where the keys are written again at once', async () => {
    await redis.multi().set('before', '1').flushall().set('key:0', 'again').exec();
    const { told, pins } = await watching.loss();
    expect(told).toMatchObject({ kind: 'flush', command: 'FLUSHALL', databases: [0] });
    expect(told.keysLost).toBeGreaterThanOrEqual(keys);
    expect(pins).toMatchObject([{ kind: 'flush', command: 'FLUSHALL' }]);
    const flush = await until('it stands in the archive', () =>
      findMoment({ repository: context.repository, instance }, { kind: 'before-flush' }).catch(() => undefined),
    );
    expect(pins[0]!.good).toEqual({ timeline: 1, position: flush.position });
    expect(watching.trouble).toEqual([]);
  });

  test('a FLUSHDB of each database, one after the other', async () => {
    for (const database of [3, 7, 9]) await populate(database, 500);
    await watching.looked();
    for (let database = 0; database < 16; database++) await redis.multi().select(database).flushdb().exec();
    const { told, pins } = await watching.loss();
    expect(told).toMatchObject({ kind: 'flush', command: 'FLUSHDB' });
    await nothingMore();
    expect(pins).toHaveLength(1);
  });

  test('a FLUSHDB of a small database beside a large one, which is written again at once', async () => {
    await redis.multi().select(5).mset('a', '1', 'b', '2', 'c', '3').exec();
    await watching.looked();
    await redis.multi().select(5).flushdb().mset('a', '4', 'b', '5', 'd', '6').exec();
    const { told } = await watching.loss();
    expect(told).toMatchObject({ kind: 'flush', databases: [5], keysLost: 3 });
  });

  test('SWAPDB with an empty database', async () => {
    await redis.call('SWAPDB', '0', '1');
    const { told, pins } = await watching.loss();
    expect(told).toMatchObject({ kind: 'swap', command: 'SWAPDB', databases: [0] });
    expect(pins).toMatchObject([{ command: 'SWAPDB' }]);
  });

  test('UNLINK of very many keys, and DEL of many more right after it', async () => {
    const names = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `key:${from + i}`);
    await redis.unlink(names(0, 12_000));
    await redis.del(names(12_000, 20_000));
    const { told, pins } = await watching.loss();
    expect(told).toMatchObject({ kind: 'mass-delete', databases: [0] });
    await nothingMore();
    // Also where nobody writes any more, as behind a fence.
    const flush = await until('it stands in the archive', () =>
      findMoment({ repository: context.repository, instance }, { kind: 'before-flush' }).catch(() => undefined),
    );
    expect(pins[0]!.good.position).toBe(flush.position);
  });

  test.for([
    ['before where its own timeline begins', {}],
    ['by the end of the archive where that is not seen in time', { exactMs: 0 }],
  ] as const)('a server that comes back empty, %s', async ([, options]) => {
    await watching.stop();
    watching = watchLosses(context, {}, options);
    await watching.looked();
    await redis.set('the last', 'write of all');
    await inTheFile(redis);
    await server.kill9();
    await rm(join(server.dir, 'appendonlydir'), { recursive: true });
    await server.restart();
    await reconnected();
    const { told, pins } = await watching.loss();
    expect(told).toMatchObject({ kind: 'came-back-empty', databases: [0] });
    expect(told.keysLost).toBeGreaterThanOrEqual(keys);
    expect(pins[0]!.good.timeline).toBe(1);
    const { position } = await pinnedMoment(pins);
    const first = (await readArchive(context.repository)).segments.filter(({ header }) => header.timeline === 1);
    expect(position).toBe(first.at(-1)!.header.end);
    expect(Buffer.concat(first.map(({ body }) => body)).includes('write of all')).toBe(true);
  });

  test('a server that comes back from an older file, though it has nearly as many keys', async () => {
    const older = join(folder.path, 'older');
    await redis.set('in both', '1');
    await cp(join(server.dir, 'appendonlydir'), older, { recursive: true });
    for (let i = 0; i < 50; i++) await redis.set(`only in the archive ${i}`, '2');
    await until('it is archived', async () => {
      const latest = findMoment({ repository: context.repository, instance }, { kind: 'latest' });
      return ((await latest.catch(() => undefined))?.position ?? 0) > 1_500;
    });
    await server.kill9();
    await rm(join(server.dir, 'appendonlydir'), { recursive: true });
    await cp(older, join(server.dir, 'appendonlydir'), { recursive: true });
    await server.restart();
    await reconnected();
    await redis.set('another', 'future');
    const { told, pins } = await watching.loss();
    expect(told).toMatchObject({ kind: 'older' });
    expect(pins).toMatchObject([{ kind: 'older', good: { timeline: 1 } }]);
    expect((await pinnedMoment(pins)).position).toBe(pins[0]!.good.position);
  });

  test.each([
    [5, undefined],
    [20, true],
  ])('what happened while nobody watched for %i minutes is seen afterwards', async (minutes, late) => {
    await watching.stop();
    const path = join(folder.path, 'home', 'archive', `${instance}-loss.json`);
    const state = JSON.parse(await readFile(path, 'utf8'));
    state.sample.atMs -= minutes * 60_000;
    await writeFile(path, JSON.stringify(state));
    await redis.flushall();
    await redis.set('since', '1');
    watching = watchLosses(context);
    const { told, pins } = await watching.loss();
    expect(told).toMatchObject({ kind: 'flush', command: 'FLUSHALL' });
    // Nothing is fenced for what was long ago.
    expect(told.late).toBe(late);
    expect(pins).toHaveLength(1);
  });

  test('one that was noticed when its agent is killed is told, once, by the next', async () => {
    await watching.stop();
    const script = fileURLToPath(new URL('../support/loss-child.ts', import.meta.url));
    const folders = [join(folder.path, 'home'), join(folder.path, 'store')];
    const child = fork(script, [server.url, ...folders], { stdio: 'ignore' });
    const said = (what: string) =>
      new Promise<string>((resolve) =>
        child.on('message', (message: Record<string, string>) => what in message && resolve(String(message[what]))),
      );
    await said('watching');
    const telling = said('telling');
    await redis.flushall();
    const id = await telling;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    watching = watchLosses(context);
    const { told, pins } = await watching.loss();
    expect(told).toMatchObject({ id, kind: 'flush', command: 'FLUSHALL' });
    await nothingMore();
    expect(pins).toHaveLength(1);
  });

  test('it is told when it is written down, and not before', async () => {
    await watching.stop();
    const path = join(folder.path, 'home', 'archive', `${instance}-loss.json`);
    const writtenDown: boolean[] = [];
    const tell = async ({ id }: ToldLoss) =>
      void writtenDown.push(JSON.parse(readFileSync(path, 'utf8')).loss?.id === id);
    // Looked for so often that it is seen while it is being written.
    watching = watchLosses(context, { tell }, { askMs: 1, togetherMs: 0 });
    for (let i = 1; i <= 5; i++) {
      await watching.looked();
      await redis.multi().flushall().set('key', 'again').exec();
      await until('it is told', async () => writtenDown.length === i);
      await until('it is pinned', async () => (await openLosses(context.repository, instance)).length === i);
    }
    expect(writtenDown).toEqual(Array(5).fill(true));
  });

  async function nothingMore(): Promise<void> {
    await redis.set('the last', 'write');
    await watching.looked();
    expect(watching.told).toHaveLength(1);
  }
});

describe('is taken for no loss:', () => {
  test('keys that expire in great number', async () => {
    const chain = redis.pipeline();
    for (let i = 0; i < keys; i++) chain.pexpire(`key:${i}`, 300);
    await chain.exec();
    await until('they have expired', async () => (await redis.dbsize()) === 0);
    await nothingBefore();
  });

  test('keys that are evicted for want of memory', async () => {
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await redis.config('SET', 'maxmemory', '2mb');
    await until('most are evicted', async () => {
      await redis.set('a write', 'evicts');
      return (await redis.dbsize()) < keys / 2;
    });
    await redis.config('SET', 'maxmemory', '0');
    await nothingBefore();
  });

  test('keys that are deleted over some minutes, where the machine’s clock is set back', async () => {
    await watching.stop();
    let aheadMs = 7_200_000;
    watching = watchLosses(context, {}, { now: () => Date.now() + aheadMs });
    // Of each third a minute passes, and then the clock loses two hours.
    for (const [third, then] of [7_260_000, 7_320_000, 0].entries()) {
      await watching.looked();
      const chain = redis.pipeline();
      for (let i = 0; i < 4_500; i++) chain.del(`key:${third * 4_500 + i}`);
      await chain.exec();
      await watching.looked();
      aheadMs = then;
      await watching.looked();
    }
    await nothingBefore();
  });

  test('a queue that drains', async () => {
    const fill = redis.pipeline();
    for (let i = 0; i < keys; i++) fill.rpush(`queue:${i}`, 'job');
    await fill.exec();
    await watching.looked();
    const drain = redis.pipeline();
    for (let i = 0; i < keys; i++) drain.lpop(`queue:${i}`);
    await drain.exec();
    await nothingBefore();
  });

  test.for([
    ['at once', false],
    ['later', true],
  ] as const)('SWAPDB as deployments use it, and %s the flush of what is out of service', async ([, later]) => {
    await populate(1, keys + 1_000, 'new');
    await watching.looked();
    await redis.call('SWAPDB', '0', '1');
    if (later) await watching.looked();
    await redis.multi().select(1).flushdb().exec();
    await redis.select(0);
    await nothingBefore();
  });

  test('new values that are renamed over the old ones', async () => {
    const build = redis.pipeline();
    for (let i = 0; i < keys; i++) build.set(`new:${i}`, String(i));
    await build.exec();
    await watching.looked();
    const rename = redis.pipeline();
    for (let i = 0; i < keys; i++) rename.rename(`new:${i}`, `key:${i}`);
    await rename.exec();
    await nothingBefore();
  });

  test.for([
    ['restore', 0],
    ['nobody we know', 1],
  ] as const)('a dump that is streamed in place of everything, by %s: %i', async ([by, losses]) => {
    await until('something is archived', async () => {
      await redis.incr('a write');
      const [first] = await drawArchive({ repository: context.repository, instance });
      return (first?.to?.position ?? 0) > 0;
    });
    const source = await startRedis();
    const small = await connectTo(source);
    await small.set('all', 'there is');
    await small.save();
    small.disconnect();
    const dumpPath = join(source.dir, 'dump.rdb');
    const facts = factsOf(await inspectRdb({ path: dumpPath }));
    const io = { signal: new AbortController().signal, onProgress: () => undefined };
    const stream = () =>
      streamAsPrimary({ dumpPath, facts, target: { url: server.url }, home: join(folder.path, 'restore') }, io);
    const archived = { ...context, policy: { ...context.policy, archive: {} as never } };
    await (by === 'restore' ? asOwnChange(archived, by, stream) : stream());
    await source.stop();
    await redis.set('after it', '1');
    if (losses === 1) {
      expect((await watching.loss()).told.kind).toMatch(/shrank|flush/);
      return;
    }
    await until('a timeline of its own', async () => {
      await redis.incr('a write');
      const [, second] = await drawArchive({ repository: context.repository, instance });
      return second?.why === 'restore' && second.parent?.timeline === 1;
    });
    await watching.looked();
    expect(watching.told).toEqual([]);
    expect((await openLosses(context.repository, instance)).length).toBe(0);
    const place = { repository: context.repository, instance };
    expect(await pruneOwnChanges(place)).toBe(0);
    expect(await pruneOwnChanges(place, -3_600_000)).toBe(1);
  });

  test('what a server that is followed for the first time did before', async () => {
    await watching.stop();
    await redis.flushall();
    await populate(0, keys);
    await rm(join(folder.path, 'home'), { recursive: true });
    watching = watchLosses(context);
    await watching.looked();
    await nothingBefore();
  });
});
