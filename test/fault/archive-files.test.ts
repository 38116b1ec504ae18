import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rm, stat, symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { storeTimeline } from '../../archive/follow/store-records.ts';
import { baseKey, baseRecordKey } from '../../archive/layout.ts';
import { baseSchema, encodeRecord } from '../../archive/records.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { connectRedis } from '../../redis/connection.ts';
import { parseInfo } from '../../redis/info.ts';
import { readIdentity } from '../../repository/identity.ts';
import {
  archiveContext,
  chainedBytes,
  type Following,
  follow,
  followable,
  instance,
  latestDigest,
  readArchive,
  rewritten,
  until,
} from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const binary = Buffer.from('\r\n*1\r\n$4\r\nPING\r\n\0\0#TS:1\r\n*', 'latin1');
const fourGiB = 2 ** 32;

let folder: TemporaryFolder;
let server: RedisServer;
let redis: Redis;
let context: InstanceContext;
let following: Following | undefined;

beforeEach(async () => {
  folder = await temporaryFolder('archive-files');
  const config = { ...followable, ...debugAllowed(), appendfsync: 'always' };
  server = await startRedis({ dir: join(folder.path, 'redis'), config });
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

const archive = () => readArchive(context.repository);
const shipped = (text: string) =>
  until(`${text} is shipped`, async () =>
    (await archive()).segments.some(({ body }) => Buffer.from(body).includes(text)),
  );
const incr = () => join(server.dir, 'appendonlydir', 'appendonly.aof.1.incr.aof');
const followed = () =>
  until('it follows', async () => {
    await redis.set('written', '1');
    return following?.figures()?.state === 'following';
  });
const stopFollowing = async () => {
  await following?.stop();
  following = undefined;
};

test('an incr of more than 4 GiB: offsets and positions beyond 2^32, gone on with, restored', async () => {
  // The identity is made by who follows first.
  following = follow(context);
  await redis.set('first', '1');
  await shipped('first');
  await stopFollowing();
  await rm(join(folder.path, 'store', 'aof'), { recursive: true });
  // What Redis appends comes behind a hole that nobody reads: the archive begins right before 2^32.
  const from = fourGiB - 1_000;
  await truncate(incr(), from);
  await redis.flushall();
  await redis.set('before the limit', Buffer.concat([binary, Buffer.alloc(300, 1)]));
  const { id: identity = '' } = (await readIdentity(context.repository, instance)) ?? {};
  const { run_id: runId = '', redis_version: version = '' } = parseInfo(await redis.info('server'));
  const base = await readFile(join(server.dir, 'appendonlydir', 'appendonly.aof.1.base.rdb'));
  const common = { formatVersion: 1 as const, instance, identity, timeline: 1 };
  const of = { name: 'redis' as const, version, runId };
  await storeTimeline(context.repository, {
    ...{ ...common, start: from, startedMs: Date.now(), why: 'first', server: of },
    file: { name: 'appendonly.aof.1.incr.aof', offset: from, db: 0 },
  });
  await context.repository.putSmall(baseKey(instance, 1, from), base);
  const key = baseRecordKey(instance, 1, from);
  const record = { ...common, position: from, kind: 'rdb' as const, sizeBytes: base.length, timeMs: Date.now() };
  const bytes = encodeRecord(
    baseSchema,
    { ...record, sha256: createHash('sha256').update(base).digest('hex'), server: of },
    key,
  );
  await context.repository.putSmall(key, bytes);

  // The server's count knows nothing of the hole: only as it writes it shows that they differ by that.
  following = follow(context, { doubtMs: 60_000 });
  await followed();
  let last = '';
  for (let i = 0; i < 50; i++) {
    last = `key:${i};`;
    await redis.set(last, Buffer.concat([binary, Buffer.alloc(i * 40, i), binary]));
    await redis.multi().incr('counter').append('text', binary).exec();
  }
  await shipped(last);
  await stopFollowing();
  await redis.set('while nobody follows', binary);
  following = follow(context, { doubtMs: 60_000 });
  await followed();
  await shipped('while nobody follows');
  await until('all is shipped', async () => {
    const { end = 0 } = (await archive()).segments.at(-1)?.header ?? {};
    return end === (await stat(incr())).size;
  });
  const held = await archive();
  expect(held.timelines.length).toBe(1);
  expect(held.events.filter(({ kind }) => kind !== 'destructive')).toEqual([]);
  const last4 = held.segments.at(-1)!.header;
  expect(last4.file.offset).toBeGreaterThan(fourGiB);
  const written = Buffer.alloc(last4.end - from);
  const file = await open(incr());
  await file.read(written, 0, written.length, from).finally(() => file.close());
  expect(chainedBytes(held, 1).equals(written)).toBe(true);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('a byte of the framing flipped before it was shipped: nothing from there on is taken for whole, and the next rewrite goes on', async () => {
  following = follow(context);
  await redis.set('shipped', '1');
  await shipped('shipped');
  await stopFollowing();
  await redis.set('whole', '1');
  const damagedAt = (await stat(incr())).size;
  await redis.set('damaged', '1');
  await redis.set('behind it', '1');
  const file = await open(incr(), 'r+');
  const { buffer } = await file.read(Buffer.alloc(200), 0, 200, damagedAt);
  const command = damagedAt + buffer.indexOf('*3\r\n');
  await file.write('!', command).finally(() => file.close());
  following = follow(context);
  await until('it says so', async () => {
    const { state, note = '' } = following?.figures() ?? {};
    return state === 'damaged' && note.includes(`damaged at byte ${command}`);
  });
  await shipped('whole');
  expect(chainedBytes(await archive(), 1).length).toBe(command);
  await rewritten(redis);
  await redis.set('after the rewrite', '1');
  await shipped('after the rewrite');
  const held = await archive();
  // Two, where it was looked at while the rewrite was under way: then it began once more with the base before.
  expect(held.events[0]).toMatchObject({ kind: 'gap', position: command });
  expect(held.events.every(({ kind }) => kind === 'gap')).toBe(true);
  expect(held.segments.some(({ body }) => Buffer.from(body).includes('behind it'))).toBe(false);
  expect(await latestDigest(context)).toBe(await dataDigest(server));
});

test('no room to remember where the files are: it ships all the same, says so, and remembers when there is room', async () => {
  const place = join(context.home, 'archive', `${instance}.json`);
  await mkdir(join(context.home, 'archive'), { recursive: true });
  await symlink('/dev/full', `${place}.new`);
  following = follow(context);
  await redis.set('on a full disk', '1');
  await shipped('on a full disk');
  await until('it says so', async () => following?.figures()?.note?.includes('ENOSPC'));
  await rm(`${place}.new`);
  await until('it is remembered', () => stat(place).catch(() => undefined));
});
