import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FoundDestructive } from '../../archive/follow/follow-options.ts';
import { shipTail } from '../../archive/follow/ship-tail.ts';
import { baseKey, segmentKey, timelineKey, timelinesDirectory } from '../../archive/layout.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { connectRedis } from '../../redis/connection.ts';
import type { Repository } from '../../repository/repository.ts';
import {
  archiveContext,
  chainedBytes,
  type Following,
  follow,
  followable,
  latestDigest,
  quick,
  readArchive,
  rewritten,
  rewrittenAndHeld,
  until,
} from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { missingFlavour, type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let server: RedisServer;
let redis: Redis;
let context: InstanceContext;
let following: Following | undefined;
let store: { fails?: 'STORE_UNAVAILABLE' | 'DISK_FULL'; losesAnswers?: boolean };

beforeEach(async () => {
  folder = await temporaryFolder('archive-trouble');
  server = await startRedis({ dir: join(folder.path, 'redis'), config: { ...followable, ...debugAllowed() } });
  redis = await connectRedis({ url: server.url });
  context = await archiveContext(server, { home: join(folder.path, 'home'), repository: join(folder.path, 'store') });
  store = {};
});
afterEach(async () => {
  redis.disconnect();
  await following?.stop().catch(() => undefined);
  following = undefined;
  await server.stop();
  await folder.remove();
});

/** The real store, behind a line that can be cut. */
function troubled(repository: Repository): Repository {
  return new Proxy(repository, {
    get: (target, name) => {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        if (store.fails) throw new RewindError(store.fails, 'the test has cut the line');
        const result = Reflect.apply(value, target, args) as unknown;
        if (!store.losesAnswers || name !== 'putSmall') return result;
        return (result as Promise<unknown>).then(() => {
          store.losesAnswers = false;
          throw new RewindError('STORE_UNAVAILABLE', 'it was stored, and the answer was lost');
        });
      };
    },
  });
}

const io = { signal: new AbortController().signal, onProgress: () => undefined };
const archive = () => readArchive(context.repository);
const shipped = (text: string) =>
  until(`${text} is shipped`, async () =>
    (await archive()).segments.some(({ body }) => Buffer.from(body).includes(text)),
  );

test('the store is down and comes back, over rewrites: Redis is not held up, and nothing is missing', async () => {
  following = follow({ ...context, repository: troubled(context.repository) });
  await redis.set('before', '1');
  await shipped('before');
  store.fails = 'DISK_FULL';
  for (let round = 0; round < 3; round++) {
    await redis.set(`while it is down ${round}`, Buffer.alloc(5_000, round));
    await rewrittenAndHeld(redis, server.dir);
    await until('it is held', async () => following?.figures()?.state === 'store');
  }
  await until('held bytes are told', async () => (following?.figures()?.heldBytes ?? 0) > 0);
  expect(following.figures()?.note).toContain('DISK_FULL');
  delete store.fails;
  await redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.events).toEqual([]);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
  await until('what is shipped is let go of', async () => following?.figures()?.heldBytes === 0);
});

test('the store is down for longer than the spool: what is held is let go, and the gap is recorded', async () => {
  following = follow({ ...context, repository: troubled(context.repository) }, { spoolBytes: 100_000 });
  await redis.set('before', '1');
  await shipped('before');
  store.fails = 'STORE_UNAVAILABLE';
  for (let round = 0; round < 3; round++) {
    await redis.set('large', Buffer.alloc(90_000, round));
    await rewritten(redis);
  }
  await until('it is let go', async () => (following?.figures()?.dropped ?? 0) > 0);
  delete store.fails;
  await redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.events.map(({ kind }) => kind)).toEqual(['gap']);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('a segment that was stored and whose answer was lost is stored once', async () => {
  following = follow({ ...context, repository: troubled(context.repository) });
  await redis.set('before', '1');
  await shipped('before');
  store.losesAnswers = true;
  await redis.set('answer lost', '1');
  await shipped('answer lost');
  await redis.set('after', '1');
  await shipped('after');
  chainedBytes(await archive(), 1);
});

test('a base that an agent was killed on is none: the next one goes around it, and says so', async () => {
  await context.repository.putSmall(
    baseKey('orders', 1, 0),
    Buffer.from('another base, whose record was never written'),
  );
  await redis.set('before', '1');
  following = follow(context);
  await redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.events.map(({ kind }) => kind)).toEqual(['gap']);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('nothing may be written beside the data: held by descriptors, over a rewrite', async () => {
  await writeFile(join(server.dir, '.rewind'), 'in the way');
  following = follow(context);
  for (const text of ['one', 'two', 'three']) {
    await redis.set(text, Buffer.alloc(100, text));
    await rewritten(redis);
    await redis.set(`behind ${text}`, '1');
    await shipped(`behind ${text}`);
  }
  await redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.events).toEqual([]);
  chainedBytes(held, 1);
});

const connections = async () => ((await redis.client('LIST')) as string).trim().split('\n').length;

test('of two agents on one host the second stops itself, names the first, and leaves no connection', async () => {
  following = follow(context);
  await redis.set('before', '1');
  await shipped('before');
  const before = await connections();
  for (let again = 0; again < 3; again++) {
    await expect(follow(context).ended).rejects.toMatchObject({ code: 'ARCHIVE_FOLLOWED' });
    await expect(shipTail(context, io, quick)).rejects.toMatchObject({ code: 'ARCHIVE_FOLLOWED' });
  }
  await until('they are closed', async () => (await connections()) <= before);
  await redis.set('after', '1');
  await shipped('after');
});

test('of two agents on two hosts the one whose place is taken stops itself and writes no more', async () => {
  following = follow(context);
  await redis.set('before', '1');
  await shipped('before');
  const end = (await archive()).segments.at(-1)?.header.end ?? 0;
  await context.repository.putSmall(segmentKey('orders', 1, end), Buffer.from('the other agent’s\n'));
  await redis.set('after', '1');
  await expect(following.ended).rejects.toMatchObject({ code: 'ARCHIVE_TAKEN_OVER' });
});

test('an agent that begins a timeline takes itself for no rival, whenever it looks and whatever the store answers', async () => {
  let looks = 0;
  let isLost = false;
  const putSmall: Repository['putSmall'] = async (key, ...more) => {
    const stored = await context.repository.putSmall(key, ...more);
    if (key !== timelineKey('orders', 2) || isLost) return stored;
    isLost = true;
    const before = looks;
    await until('it has looked for rivals', async () => looks >= before + 2);
    throw new RewindError('STORE_UNAVAILABLE', 'it was stored, and the answer was lost');
  };
  const list: Repository['list'] = (prefix, ...more) => {
    if (prefix === timelinesDirectory('orders')) looks += 1;
    return context.repository.list(prefix, ...more);
  };
  const replaced = { putSmall, list };
  const repository = new Proxy(context.repository, {
    get: (target, name) => {
      const value = Reflect.get(name in replaced ? replaced : target, name) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  following = follow({ ...context, repository }, { rivalMs: 1 });
  const [files, copy] = [join(server.dir, 'appendonlydir'), join(folder.path, 'copy')];
  await redis.set('before', '1');
  await shipped('before');
  await cp(files, copy, { recursive: true });
  await redis.set('not in the copy', '1');
  await shipped('not in the copy');
  await server.kill9();
  redis.disconnect();
  await rm(files, { recursive: true });
  await cp(copy, files, { recursive: true });
  await server.restart();
  redis = await connectRedis({ url: server.url });
  await redis.set('after', '1');
  await Promise.race([following.ended, shipped('after')]);
  expect(isLost).toBe(true);
  expect((await archive()).timelines).toHaveLength(2);
});

test('another server under the same name is refused before anything of it is archived', async () => {
  following = follow(context);
  await redis.set('before', '1');
  await shipped('before');
  await following.stop();
  const other = await startRedis({ config: followable });
  try {
    const target = { url: other.url };
    const strange = follow({ ...context, target, home: join(folder.path, 'another-home') });
    await expect(strange.ended).rejects.toMatchObject({ code: 'IDENTITY_REFUSED' });
    expect((await archive()).timelines.length).toBe(1);
  } finally {
    await other.stop();
  }
});

test('the machine’s clock jumps: an event says from when to when, and no segment goes over it', async () => {
  let off = 0;
  following = follow(context, { now: () => Date.now() + off });
  await redis.set('before', '1');
  await shipped('before');
  await redis.set('right before', '1');
  off = -3_600_000;
  await until('it is recorded', async () => (await archive()).events.length > 0);
  await redis.set('after', '1');
  await shipped('after');
  const { events, segments } = await archive();
  expect(events).toMatchObject([{ kind: 'clock' }]);
  const [{ timeMs, toMs = 0 }] = events as [(typeof events)[number]];
  expect(Math.abs(timeMs - toMs - 3_600_000)).toBeLessThan(60_000);
  for (const { header } of segments) expect(header.lastMs - header.firstMs).toBeLessThan(1_800_000);
});

test('what destroys is an event at its own position, or that of the MULTI that it is in', async () => {
  following = follow(context, { massKeys: 50, massMs: 200 });
  for (let i = 0; i < 100; i++) await redis.set(`mass:${i}`, '1');
  await redis.unlink(...Array.from({ length: 100 }, (_, i) => `mass:${i}`));
  await redis.set('between', '1');
  await redis.swapdb(0, 1);
  await redis.multi().set('in the transaction', '1').flushdb().exec();
  await redis.flushall();
  await redis.set('after', '1');
  await shipped('after');
  const events = await until('four events', async () => {
    await redis.set('again', '1');
    const found = (await archive()).events.filter(({ kind }) => kind === 'destructive');
    return found.length >= 4 ? found : undefined;
  });
  expect(events.map(({ command }) => command)).toEqual(['UNLINK', 'SWAPDB', 'FLUSHDB', 'FLUSHALL']);
  expect(events[0]?.keys).toBe(100);
  const bytes = chainedBytes(await archive(), 1);
  expect(bytes.subarray(events[2]!.position, events[2]!.position + 15).toString()).toBe('*1\r\n$5\r\nMULTI\r\n');
  const flush = bytes.subarray(events[3]!.position, events[3]!.until!.position).toString();
  expect(flush.toLowerCase()).toBe('*1\r\n$8\r\nflushall\r\n');
});

test('what destroys is told when it was read, while the store takes nothing, as the event later has it', async () => {
  const told: FoundDestructive[] = [];
  const hooks = { onDestructive: (found: FoundDestructive) => void told.push(found) };
  following = follow({ ...context, repository: troubled(context.repository) }, { massKeys: 50, massMs: 200 }, hooks);
  for (let i = 0; i < 100; i++) await redis.set(`mass:${i}`, '1');
  await shipped('mass:99');
  store.fails = 'STORE_UNAVAILABLE';
  await redis.set('not taken', '1');
  await until('a segment waits for the store', async () => following?.figures()?.state === 'store');
  await redis.flushdb();
  await redis.flushall();
  await until('both are told', async () => told.length >= 2);
  expect((await archive()).events).toEqual([]);
  delete store.fails;
  for (let i = 0; i < 100; i++) await redis.set(`mass:${i}`, '1');
  await redis.del(...Array.from({ length: 100 }, (_, i) => `mass:${i}`));
  const events = await until('three events', async () => {
    await redis.set('again', '1');
    const found = (await archive()).events.filter(({ kind }) => kind === 'destructive');
    return found.length >= 3 ? found : undefined;
  });
  for (const { command, position, timeMs, until: to, database, keys } of events) {
    const [first] = told.filter((each) => each.position === position);
    expect(first).toMatchObject({ timeline: 1, command, timeMs, until: to, database, ...(keys ? { keys } : {}) });
  }
  expect(events.map(({ command }) => command)).toEqual(['FLUSHDB', 'FLUSHALL', 'DEL']);
});

test('after a crash the tail that is on the disk is shipped without a server, and once only', async () => {
  following = follow(context);
  await redis.set('before', '1');
  await shipped('before');
  await following.stop();
  await redis.set('the tail', '1');
  await server.kill9();
  const tail = await shipTail(context, io, quick);
  expect(tail).toMatchObject({ shippedBytes: expect.any(Number), leftBytes: 0 });
  expect(tail.shippedBytes).toBeGreaterThan(0);
  expect(await shipTail(context, io, quick)).toMatchObject({ shippedBytes: 0 });
  await shipped('the tail');
  chainedBytes(await archive(), 1);
});

const missing62 = missingFlavour('redis-6.2');
test.skipIf(missing62)('a server that keeps one file says that it cannot be archived, and what to do', async () => {
  const old = await startRedis({ flavour: 'redis-6.2', config: { appendonly: 'yes' } });
  try {
    const ended = follow({ ...context, target: { url: old.url } }).ended;
    await expect(ended).rejects.toMatchObject({ code: 'ARCHIVE_NOT_POSSIBLE', retryable: false });
  } finally {
    await old.stop();
  }
});
