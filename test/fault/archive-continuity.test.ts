import { cp, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { addressOf, connectRedis } from '../../redis/connection.ts';
import { extendIdentity, readIdentity } from '../../repository/identity.ts';
import {
  archiveContext,
  chainedBytes,
  type Following,
  follow,
  followable,
  latestDigest,
  readArchive,
  rewritten,
  rewrittenAndHeld,
  until,
} from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const binary = Buffer.from('\r\n*1\r\n$4\r\nPING\r\n\0\0#TS:1\r\n*', 'latin1');

let folder: TemporaryFolder;
let server: RedisServer;
let redis: Redis;
let context: InstanceContext;
let following: Following | undefined;

beforeEach(async () => {
  folder = await temporaryFolder('archive-continuity');
  server = await startRedis({ dir: join(folder.path, 'redis'), config: { ...followable, ...debugAllowed() } });
  redis = await connectRedis({ url: server.url });
  context = await archiveContext(server, { home: join(folder.path, 'home'), repository: join(folder.path, 'store') });
});
afterEach(async () => {
  redis.disconnect();
  await following?.stop().catch(() => undefined);
  following = undefined;
  await server.stop();
  await folder.remove();
});

let written = 0;
async function write(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) {
    written += 1;
    await redis.set(`key:${written}`, Buffer.concat([binary, Buffer.from(String(written))]));
    await redis.multi().incr('counter').append('text', binary).rpush('list', binary).exec();
  }
}

/** Starts to follow, and waits until everything is shipped. */
async function shipAll(): Promise<void> {
  following ??= follow(context);
  const marker = `marker:${(written += 1)}`;
  await redis.set(marker, '1');
  await shipped(marker);
}

async function shipped(text: string): Promise<void> {
  await until(`${text} is shipped`, async () => {
    if (following) await Promise.race([following.ended, Promise.resolve()]);
    return (await readArchive(context.repository)).segments.some(({ body }) => Buffer.from(body).includes(text));
  });
}

async function stopFollowing(): Promise<void> {
  await following?.stop();
  following = undefined;
}

async function restarted(): Promise<void> {
  redis.disconnect();
  await server.restart();
  redis = await connectRedis({ url: server.url });
}

const archive = () => readArchive(context.repository);
const folderOf = () => join(server.dir, 'appendonlydir');

test('rewrites while it follows: each base stands where the incr behind it begins, and no byte is missing', async () => {
  following = follow(context);
  await until('it follows', async () => following?.figures()?.state === 'following');
  for (let round = 0; round < 4; round++) {
    await write();
    await rewrittenAndHeld(redis, server.dir);
  }
  await write(3);
  await shipAll();
  await until('the bases', async () => (await archive()).bases.length >= 2);
  const held = await archive();
  expect(held.events).toEqual([]);
  expect(held.timelines.length).toBe(1);
  chainedBytes(held, 1);
  for (const { position } of held.bases) {
    const behind = held.segments.find(({ header }) => header.start === position);
    expect(behind?.header.file.offset).toBe(0);
  }
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('an agent that ends and comes again, on another machine too, goes on in the same timeline without a gap', async () => {
  await shipAll();
  await stopFollowing();
  await write();
  await rm(context.home, { recursive: true });
  context = { ...context, home: join(folder.path, 'another-home') };
  await shipAll();
  await stopFollowing();
  await write();
  await shipAll();
  const held = await archive();
  expect(held.timelines.length).toBe(1);
  expect(held.events).toEqual([]);
  expect(chainedBytes(held, 1)).toEqual(await readFile(join(folderOf(), 'appendonly.aof.1.incr.aof')));
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('down over one rewrite: the held link has what Redis deleted, and nothing is missing', async () => {
  await shipAll();
  await stopFollowing();
  await write();
  await rewritten(redis);
  await write();
  await shipAll();
  const held = await archive();
  expect(held.events).toEqual([]);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('down over two rewrites: a gap with both ends, and a new base on the same timeline', async () => {
  await shipAll();
  await stopFollowing();
  for (let round = 0; round < 2; round++) {
    await write();
    await rewritten(redis);
  }
  await write();
  await shipAll();
  const held = await archive();
  expect(held.timelines.length).toBe(1);
  expect(held.events.map(({ kind }) => kind)).toEqual(['gap']);
  const [gap] = held.events;
  expect(held.bases.at(-1)?.position).toBe(gap?.until?.position);
  expect(held.segments.find(({ header }) => header.start === gap?.until?.position)?.header.previous).toBeNull();
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('the append-only file switched off and on: a gap, because what was written between is nowhere', async () => {
  await write();
  await shipAll();
  await redis.config('SET', 'appendonly', 'no');
  await until('it is noticed', async () => following?.figures()?.state === 'off');
  await write();
  await redis.config('SET', 'appendonly', 'yes');
  await until('the rewrite', async () => /aof_rewrite_in_progress:0/.test(await redis.info('persistence')));
  await write();
  await shipAll();
  const held = await archive();
  expect(held.timelines.length).toBe(1);
  expect(held.events.map(({ kind }) => kind)).toEqual(['gap']);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test.for(['CONFIG SET appendonly no, yes', 'REPLICAOF another server, NO ONE'])(
  'off and on between two questions, which leaves the file names of a rewrite: %s',
  async (how) => {
    const other = await startRedis({ dir: join(folder.path, 'other') });
    await write();
    // The server is asked once when it begins, and then not again by itself.
    following = follow(context, { askMs: 600_000 });
    await shipAll();
    if (how.startsWith('CONFIG')) {
      await redis.config('SET', 'appendonly', 'no');
      await write();
      await redis.config('SET', 'appendonly', 'yes');
    } else {
      await redis.call('REPLICAOF', '127.0.0.1', String(other.port));
      await until('it is in sync', async () => /master_link_status:up/.test(await redis.info('replication')));
      await redis.call('REPLICAOF', 'NO', 'ONE');
    }
    await until(
      'the rewrite',
      async () => /aof_rewrite_(in_progress|scheduled):1/.test(await redis.info('persistence')) === false,
    );
    await write();
    await shipAll();
    const held = await archive();
    expect(held.events.map(({ kind }) => kind)).toEqual(['gap']);
    expect(await latestDigest(context)).toBe(await dataDigest(server));
    await other.stop();
  },
);

test('CONFIG SET between two rewrites that are over at once: no gap, for nobody switched the file off', async () => {
  following = follow(context, { pollMs: 400 });
  await shipAll();
  for (let round = 0; round < 3; round++) {
    await redis.config('SET', 'maxmemory-samples', String(5 + round));
    await write(2);
    await shipAll();
    await rewritten(redis);
  }
  await write(2);
  await shipAll();
  const held = await archive();
  expect(held.timelines.length).toBe(1);
  expect(held.events).toEqual([]);
  chainedBytes(held, 1);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('killed and started again with a torn end: only the torn end is gone, the timeline goes on', async () => {
  await write();
  await shipAll();
  await server.kill9();
  const incr = join(folderOf(), 'appendonly.aof.1.incr.aof');
  const { appendFile } = await import('node:fs/promises');
  await appendFile(incr, '*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$4\r\ntorn\r\n$100\r\nhalf');
  await restarted();
  await write();
  await shipAll();
  const held = await archive();
  expect(held.timelines.length).toBe(1);
  expect(held.events).toEqual([]);
  expect(new Set(held.segments.map(({ header }) => header.runId)).size).toBe(2);
  expect(chainedBytes(held, 1)).toEqual(await readFile(incr));
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('started from an older copy of its files: a new timeline that leaves the other where the copy ends', async () => {
  await write();
  await shipAll();
  const copy = join(folder.path, 'copy');
  await cp(folderOf(), copy, { recursive: true });
  const { size } = await stat(join(copy, 'appendonly.aof.1.incr.aof'));
  await write();
  await shipAll();
  await server.kill9();
  await rm(folderOf(), { recursive: true });
  await cp(copy, folderOf(), { recursive: true });
  await restarted();
  await write();
  await shipAll();
  const held = await archive();
  expect(held.timelines).toMatchObject([
    { timeline: 1 },
    { timeline: 2, why: 'older-file', parent: { timeline: 1, position: size }, file: { offset: size } },
  ]);
  const before = chainedBytes(held, 1).subarray(0, size);
  const all = Buffer.concat([before, chainedBytes(held, 2)]);
  expect(all).toEqual(await readFile(join(folderOf(), 'appendonly.aof.1.incr.aof')));
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('another data set under the same address: a new timeline from its own base', async () => {
  await write();
  await shipAll();
  // Two empty bases of one second are the same bytes: then it is told as what left the first one at its beginning.
  const { mtimeMs } = await stat(join(folderOf(), 'appendonly.aof.1.base.rdb'));
  await until('another second', async () => Math.floor(Date.now() / 1000) > Math.floor(mtimeMs / 1000));
  await server.kill9();
  await rm(folderOf(), { recursive: true });
  await restarted();
  await write();
  await shipAll();
  const held = await archive();
  expect(held.timelines).toMatchObject([
    { timeline: 1 },
    { timeline: 2, why: 'discontinuity', parent: { timeline: 1 } },
  ]);
  expect(held.timelines[1]?.file).toBeUndefined();
  expect(held.bases.at(-1)).toMatchObject({ timeline: 2, position: held.timelines[1]?.start });
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('a replica that took over: a new timeline from its own base, with the promotion as its reason', async () => {
  await write();
  await shipAll();
  const replica = await startRedis({
    config: { ...followable, ...debugAllowed(), replicaof: `127.0.0.1 ${server.port}` },
  });
  const other = await connectRedis({ url: replica.url });
  try {
    await until('it is in sync', async () => /master_link_status:up/.test(await other.info('replication')));
    await until('its own file', async () => /aof_rewrite_in_progress:0/.test(await other.info('persistence')));
    // With its first replica a server takes another replication id, which its agent learns.
    const [, id = ''] = /master_replid:(\w+)/.exec(await redis.info('replication')) ?? [];
    await until('the agent knows it', async () =>
      (await readIdentity(context.repository, 'orders'))?.replicationIds.includes(id),
    );
    await stopFollowing();
    await server.kill9();
    await other.call('REPLICAOF', 'NO', 'ONE');
    await other.set('after the promotion', '1');
    const policy = { ...context.policy, topology: { ...context.policy.topology, replicas: [replica.url] } };
    // An agent on the other machine.
    context = { ...context, policy, target: { url: replica.url }, home: join(folder.path, 'other-home') };
    // Whoever archived last knew the replica by its address.
    await extendIdentity(context.repository, 'orders', { replicationIds: [], addresses: [addressOf(context.target)] });
    following = follow(context);
    await shipped('after the promotion');
    const held = await archive();
    expect(held.timelines).toMatchObject([{ timeline: 1 }, { timeline: 2, why: 'promotion', parent: { timeline: 1 } }]);
    expect(await latestDigest(context)).toBe(await dataDigest(replica));
  } finally {
    other.disconnect();
    await stopFollowing();
    await replica.stop();
  }
});
