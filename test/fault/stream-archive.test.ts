import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { baseKey } from '../../archive/layout.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { connectRedis } from '../../redis/connection.ts';
import { redisTimeMs } from '../../redis/info.ts';
import { Random } from '../../scripts/bench/random.ts';
import {
  archiveContext,
  chainedBytes,
  digestAt,
  type Following,
  instance,
  latestDigest,
  readArchive,
  until,
} from '../support/archive.ts';
import { CutLine } from '../support/cut-line.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { ReplicaSet, untilSynced } from '../support/replication.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { stream } from '../support/stream.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const child = fileURLToPath(new URL('../support/stream-archive-child.ts', import.meta.url));
/** As small as Redis has it: what is missed is soon missing. */
const smallBacklog = { 'repl-backlog-size': '16kb' };

let folder: TemporaryFolder;
let server: RedisServer;
let redis: Redis;
let context: InstanceContext;
let following: Following | undefined;

beforeEach(async () => {
  folder = await temporaryFolder('stream-trouble');
  await begin({});
});
afterEach(async () => {
  redis.disconnect();
  await following?.stop().catch(() => undefined);
  following = undefined;
  await server.stop();
  await folder.remove();
});

async function begin(config: Record<string, string>): Promise<void> {
  server = await startRedis({
    dir: join(folder.path, 'redis'),
    config: { 'repl-diskless-sync-delay': '0', ...debugAllowed(), ...config },
  });
  redis = await connectRedis({ url: server.url });
  context = await archiveContext(server, { home: join(folder.path, 'home'), repository: join(folder.path, 'store') });
}

/** The same from the start, on a server that is set otherwise. */
async function beginAnew(config: Record<string, string>): Promise<void> {
  redis.disconnect();
  await server.stop();
  await begin(config);
}

const archive = () => readArchive(context.repository);
const shipped = (text: string) =>
  until(`${text} is shipped`, async () =>
    (await archive()).segments.some(({ body }) => Buffer.from(body).includes(text)),
  );

/** The first write behind the base: what came before it is in the dump. */
async function written(key: string): Promise<void> {
  await until('the base', async () => (await archive()).bases.length > 0);
  await redis.set(key, '1');
  await shipped(key);
}

/** The same by the first base alone, and all that was archived since. */
async function digestFrom(base: number, position: number): Promise<string> {
  const held = await archive();
  await using at = await temporaryFolder('stream-by-hand');
  const folderOf = join(at.path, 'appendonlydir');
  await mkdir(folderOf);
  const bytes = chainedBytes(held, 1, base).subarray(0, position - base);
  await writeFile(join(folderOf, 'appendonly.aof.1.incr.aof'), bytes);
  const dump = await context.repository.readSmall(baseKey(instance, 1, base), 2 ** 30);
  await writeFile(join(folderOf, 'appendonly.aof.1.base.rdb'), dump);
  const lines = ['file appendonly.aof.1.base.rdb seq 1 type b', 'file appendonly.aof.1.incr.aof seq 1 type i', ''];
  await writeFile(join(folderOf, 'appendonly.aof.manifest'), lines.join('\n'));
  const plain = await startRedis({ dir: at.path, config: { appendonly: 'yes', ...debugAllowed() } });
  return dataDigest(plain).finally(() => plain.stop());
}

test('the link is cut again and again while writes go on: it goes on where it broke, and nothing is missing', async () => {
  following = stream(context);
  await written('before');
  const admin = await connectRedis({ url: server.url });
  for (let i = 0; i < 300; i++) {
    await redis.multi().incr('counter').append('text', `\r\n*1\r\n\0${i}`).exec();
    if (i % 60 === 30) await admin.call('CLIENT', 'KILL', 'TYPE', 'replica');
  }
  admin.disconnect();
  await redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.timelines).toHaveLength(1);
  expect(held.bases).toHaveLength(1);
  expect(held.events).toEqual([]);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('more was written meanwhile than the backlog keeps: a gap as long as what is missing, and a base behind it', async () => {
  await beginAnew(smallBacklog);
  following = stream(context);
  await written('before');
  const stopped = await following.stop();
  for (let i = 0; i < 40; i++) await redis.set('large', Buffer.alloc(5_000, i));
  following = stream(context);
  await until('the second base', async () => (await archive()).bases.length === 2);
  await redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.timelines).toHaveLength(1);
  expect(held.events).toMatchObject([{ kind: 'gap', position: stopped.position }]);
  const [gap] = held.events;
  expect(gap!.until!.position - gap!.position).toBeGreaterThan(200_000);
  expect(held.bases[1]!.position).toBe(gap!.until!.position);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('Redis is shut down and started again: a shutdown does not wait for us, and the same timeline goes on', async () => {
  // Without a word from us it would wait so long for a replica that never acknowledges.
  await beginAnew({ 'shutdown-timeout': '600' });
  following = stream(context);
  await written('before');
  redis.call('SHUTDOWN', 'SAVE').catch(() => undefined);
  await server.exited;
  await server.restart();
  redis = await connectRedis({ url: server.url });
  await redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.timelines).toHaveLength(1);
  expect(held.bases).toHaveLength(1);
  expect(held.events).toEqual([]);
  expect(new Set(held.segments.map(({ header }) => header.file.name)).size).toBe(2);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('Redis is killed and starts from an older dump: a new timeline that leaves the other where the dump ends', async () => {
  following = stream(context);
  await written('in the dump');
  await redis.save();
  const saved = await dataDigest(server);
  await redis.set('after the dump', '1');
  await shipped('after the dump');
  const lost = await dataDigest(server);
  await server.kill9();
  await server.restart();
  redis = await connectRedis({ url: server.url });
  await until('the second timeline', async () => (await archive()).timelines.length === 2);
  await redis.set('anew', '1');
  await shipped('anew');
  const { timelines, events } = await archive();
  expect(timelines[1]).toMatchObject({ why: 'older-file', parent: { timeline: 1 } });
  expect(events).toEqual([]);
  expect(await digestAt(context, { kind: 'position', position: timelines[1]!.parent!.position }, { timeline: 1 })).toBe(
    saved,
  );
  expect(await digestAt(context, { kind: 'latest' }, { timeline: 1 })).toBe(lost);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('a primary that comes back empty begins a new timeline; what it held before stays restorable', async () => {
  following = stream(context);
  await written('before');
  const before = await dataDigest(server);
  await server.kill9();
  await server.restart();
  redis = await connectRedis({ url: server.url });
  await until('the second timeline', async () => (await archive()).timelines.length === 2);
  await redis.set('anew', '1');
  await shipped('anew');
  expect((await archive()).timelines[1]).toMatchObject({ why: 'older-file', note: 'the server came back empty' });
  expect(await digestAt(context, { kind: 'latest' }, { timeline: 1 })).toBe(before);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('a replica is promoted: its stream goes on in a timeline of its own, without a base', async () => {
  const set = new ReplicaSet();
  try {
    following = stream(context);
    await written('before');
    const replica = await set.start({ config: { replicaof: `127.0.0.1 ${server.port}`, ...debugAllowed() } });
    await untilSynced(redis, replica.redis);
    await redis.select(2);
    await redis.set('to both', '1');
    await shipped('to both');
    await until('the replica has it', async () => (await replica.redis.info('keyspace')).includes('db2:'));
    await following.stop();
    await server.kill9();
    await replica.redis.replicaof('NO', 'ONE');
    await replica.redis.select(2);
    await replica.redis.set('after', '1');
    following = stream({ ...context, target: { url: replica.url } });
    await shipped('after');
    const held = await archive();
    expect(held.timelines[1]).toMatchObject({ why: 'promotion', parent: { timeline: 1 }, file: { db: 2 } });
    expect(held.bases).toHaveLength(1);
    expect(held.events).toEqual([]);
    expect(await latestDigest(context)).toBe(await dataDigest(replica.server));
  } finally {
    await following?.stop().catch(() => undefined);
    await set.stop();
  }
});

test('the store is down and comes back: what came waits on the disk, over a death of ours too, and nothing is missing', async () => {
  await beginAnew(smallBacklog);
  const line = new CutLine(context.repository);
  following = stream({ ...context, repository: line.repository });
  await written('before');
  line.fails = 'STORE_UNAVAILABLE';
  for (let i = 0; i < 40; i++) await redis.set(`while it is down ${i}`, Buffer.alloc(5_000, i));
  await until('it is held', async () => (following?.figures()?.heldBytes ?? 0) > 200_000);
  await until('it is told', async () => following?.figures()?.note?.includes('STORE_UNAVAILABLE'));
  expect(following.figures()?.state).toBe('store');
  // Redis does not have it any more: only the disk does.
  await following.stop();
  following = stream(context);
  await redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.events).toEqual([]);
  expect(held.bases).toHaveLength(1);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('the store is down for longer than the spool: the link is closed, Redis holds nothing for us, and the gap is recorded', async () => {
  await beginAnew(smallBacklog);
  const line = new CutLine(context.repository);
  following = stream({ ...context, repository: line.repository }, { spoolBytes: 100_000 });
  await written('before');
  line.fails = 'STORE_UNAVAILABLE';
  for (let i = 0; i < 60; i++) await redis.set('large', Buffer.alloc(5_000, i));
  await until('the link is closed', async () => (following?.figures()?.dropped ?? 0) > 0);
  await until('no replica is there', async () => (await redis.info('replication')).includes('connected_slaves:0'));
  for (let i = 0; i < 20; i++) await redis.set('lost', Buffer.alloc(5_000, i));
  line.fails = undefined;
  await until('the second base', async () => (await archive()).bases.length === 2);
  await redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.events.map(({ kind }) => kind)).toEqual(['gap']);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('we die with a dump on the disk that the store did not take, and Redis comes back empty meanwhile: whose it was is known', async () => {
  await beginAnew(smallBacklog);
  const line = new CutLine(context.repository);
  following = stream({ ...context, repository: line.repository });
  await written('before');
  line.fails = 'STORE_UNAVAILABLE';
  await redis.set('held', '1');
  await until('it is held', async () => (following?.figures()?.heldBytes ?? 0) > 0);
  // The link is closed, and more is written than the backlog keeps, before anybody can go on.
  const broken = redis.multi().call('CLIENT', 'KILL', 'TYPE', 'replica');
  for (let i = 0; i < 10; i++) broken.set('large', Buffer.alloc(5_000, i));
  await broken.exec();
  const spooled = join(context.home, 'archive', 'stream', instance);
  await until('the dump', async () => (await readdir(spooled)).some((name) => name.endsWith('.rdb')));
  await redis.set('behind the dump', '1');
  await until('what is behind the dump', async () => {
    const names = (await readdir(spooled)).filter((name) => name.endsWith('.stream'));
    const all = await Promise.all(names.map((name) => readFile(join(spooled, name)).catch(() => Buffer.alloc(0))));
    return all.some((bytes) => bytes.includes('behind the dump'));
  });
  await following.stop().catch(() => undefined);
  const lost = await dataDigest(server);
  await server.kill9();
  await server.restart();
  redis = await connectRedis({ url: server.url });
  following = stream(context);
  await until('the second timeline', async () => (await archive()).timelines.length === 2);
  await redis.set('anew', '1');
  await shipped('anew');
  const { timelines, events } = await archive();
  expect(timelines[1]).toMatchObject({ why: 'older-file', note: 'the server came back empty' });
  expect(events.map(({ kind }) => kind)).toEqual(['gap']);
  expect(await digestAt(context, { kind: 'latest' }, { timeline: 1 })).toBe(lost);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('a base is taken in the middle of the stream, where Redis says that its dump stands, and no link is broken for it', async () => {
  const bases = { growthBytes: 20_000, soonestMs: 0 };
  following = stream(context, { bases });
  await written('before');
  const large = (i: number) => redis.multi().set(`key:${i}`, Buffer.alloc(2_000, i)).incr('counter').exec();
  for (let i = 0; (await archive()).bases.length < 3; i++) {
    if (i === 5_000) throw new Error('no base came');
    await large(i % 50);
  }
  await redis.set('after', '1');
  await shipped('after');
  const held = await archive();
  expect(held.timelines).toHaveLength(1);
  expect(held.events).toEqual([]);
  chainedBytes(held, 1);
  for (const { position } of held.bases.slice(1)) {
    expect(held.segments.some(({ header }) => header.start === position)).toBe(true);
    expect(await digestAt(context, { kind: 'position', position })).toBe(await digestFrom(0, position));
  }
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('of two processes with one home the second stops itself; of two on two machines one goes on', async () => {
  following = stream(context);
  await written('before');
  await expect(stream(context).ended).rejects.toMatchObject({ code: 'ARCHIVE_FOLLOWED' });
  const elsewhere = { ...context, home: join(folder.path, 'elsewhere') };
  const other = stream(elsewhere);
  const [mine, theirs] = [following, other];
  let ended = 0;
  for (const each of [mine, theirs]) void each.ended.catch(() => (ended += 1));
  for (let i = 0; ended === 0; i++) {
    await redis.set('counter', i);
    await sleep(5);
  }
  const [loser, winner] = (await Promise.race([
    mine.ended.catch(() => [mine, theirs] as const),
    theirs.ended.catch(() => [theirs, mine] as const),
  ])) as readonly [Following, Following];
  await expect(loser.ended).rejects.toMatchObject({ code: 'ARCHIVE_TAKEN_OVER' });
  await redis.set('after', '1');
  await shipped('after');
  chainedBytes(await archive(), 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
  await winner.stop();
});

test('another server under the same name is refused before anything of it is archived, and no connection stays', async () => {
  following = stream(context);
  await written('before');
  await following.stop();
  const stranger = await startRedis();
  try {
    const away = { ...context, home: join(folder.path, 'elsewhere'), target: { url: stranger.url } };
    const asked = await connectRedis({ url: stranger.url });
    for (let again = 0; again < 3; again++) {
      await expect(stream(away).ended).rejects.toMatchObject({ code: 'IDENTITY_REFUSED' });
    }
    const connections = async () =>
      String(await asked.client('LIST'))
        .trim()
        .split('\n').length;
    await until('they are closed', async () => (await connections()) === 1).finally(() => asked.disconnect());
    expect((await archive()).timelines).toHaveLength(1);
  } finally {
    await stranger.stop();
  }
});

test('an archive that is killed -9 again and again, wherever it is, with writes going on: one chain, nothing missing', async () => {
  const folders = [server.url, context.home, join(folder.path, 'store')];
  const random = new Random(7);
  let writing = true;
  const writer = (async () => {
    for (let i = 0; writing; i++) {
      await redis
        .multi()
        .incr('counter')
        .set(`key:${i % 500}`, Buffer.alloc(i % 900, i))
        .exec();
      if (i % 20 === 0) await sleep(2);
    }
  })();
  try {
    for (let round = 0; round < 6; round++) {
      const process = fork(child, folders, { stdio: 'inherit' });
      const errors: string[] = [];
      let follows = false;
      process.on('message', ({ state, error }: { state?: string; error?: string }) => {
        if (error) errors.push(error);
        follows ||= state === 'following';
      });
      // Every other one is killed on its way in.
      if (round % 2 === 0) await until('it follows', async () => follows);
      await sleep(random.below(round % 2 === 0 ? 120 : 900));
      process.kill('SIGKILL');
      if (process.exitCode === null && process.signalCode === null) await once(process, 'exit');
      expect(errors).toEqual([]);
    }
  } finally {
    writing = false;
    await writer;
  }
  following = stream(context);
  // More may have been written meanwhile than the backlog keeps: then a dump comes first, and what it has is in no segment.
  await until('it follows', async () => following?.figures()?.state === 'following');
  await redis.set('the end', '1');
  await shipped('the end');
  const held = await archive();
  expect(held.timelines).toHaveLength(1);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('a time between two writes has the first; nothing is stored of PINGs alone; a next step finds the link up', async () => {
  await beginAnew({ 'repl-ping-replica-period': '1' });
  following = stream(context, {}, { staysUp: () => true });
  await written('first');
  const first = await dataDigest(server);
  await sleep(600);
  const between = await redisTimeMs(redis);
  await sleep(600);
  await redis.set('second', '1');
  await shipped('second');
  const linkOf = async () => /id=(\d+)/.exec(String(await redis.call('CLIENT', 'LIST', 'TYPE', 'replica')))?.[1];
  const link = await linkOf();
  const { segments, position } = await following.stop();
  const offset = async () => Number(/master_repl_offset:(\d+)/.exec(await redis.info('replication'))?.[1]);
  const now = await offset();
  await until('PINGs were sent', async () => (await offset()) > now + 30);
  following = stream(context);
  await until('it goes on', async () => following?.figures()?.state === 'following');
  expect(await linkOf()).toBe(link);
  await until('it has looked', async () => following?.figures()?.position === position);
  expect((await archive()).segments).toHaveLength(segments);
  expect(await digestAt(context, { kind: 'time', timeMs: between })).toBe(first);
  await redis.set('third', '1');
  await shipped('third');
  chainedBytes(await archive(), 1);
});
