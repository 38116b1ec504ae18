import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, expect, inject, test } from 'vitest';
import { followSave } from '../../backup/follow-save.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { pinDump, pinnedBytes, prunePins } from '../../backup/pin.ts';
import { storeDump } from '../../backup/store.ts';
import type { BackupSubject } from '../../backup/subject.ts';
import { endWalkAhead, walkedAhead } from '../../backup/walk-ahead.ts';
import type { StepIO } from '../../process/step-io.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { startSave } from '../../redis/save.ts';
import { backupObject } from '../../repository/layout.ts';
import type { Repository, UploadCursor } from '../../repository/repository.ts';
import { connectTo, fillMegabytes, slowSaves } from '../support/dataset.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { openTestRepository, type S3TestPlace, testPlace, uploadsOf } from '../support/s3-repository.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

const subject: BackupSubject = {
  instance: 'orders',
  policyDigest: '',
  backupId: '20261123T205000Z-1f3a9c04',
  tier: 'hourly',
};
const key = backupObject(subject, 'dump.rdb');
const io = { signal: new AbortController().signal, onProgress: () => {}, onCursor: () => {} };

let redis: RedisServer;
let live: Redis;
let place: S3TestPlace;
let proxy: S3FaultProxy;
let repository: Repository;
let context: InstanceContext;

beforeEach(async () => {
  redis = await startRedis({ config: { rdbcompression: 'no' } });
  live = await connectTo(redis);
  await fillMegabytes(redis, 40);
  place = testPlace(inject('minio'));
  proxy = await startS3FaultProxy(place.endpoint);
  repository = await openTestRepository({ ...place, endpoint: proxy.endpoint });
  context = { policy: { limits: {}, backup: {} }, target: { url: redis.url }, repository, home: redis.dir } as never;
});
afterEach(async () => {
  endWalkAhead(subject.backupId);
  live?.disconnect();
  repository?.close();
  await proxy?.stop();
  await redis?.stop();
});

const save = () => startSave(live, { signal: io.signal, onAsk: () => {}, onWait: () => {} });
const follow = (start: Awaited<ReturnType<typeof save>>, more: Partial<StepIO & { resumeFrom: UploadCursor }> = {}) =>
  followSave(live, context, subject, start, { ...io, ...more });

async function pinned(startedAt: number) {
  const pin = await pinDump(subject.backupId, { dir: redis.dir, dbfilename: 'dump.rdb', startedAt });
  return { pin, bytes: await pinnedBytes(subject.backupId, pin) };
}

async function storedDigest(): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of await repository.read(key)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

test('what a save has written is walked and stored before it ends, and is not read or sent a second time', async () => {
  await slowSaves(redis, 4);
  const start = await save();
  const { ahead } = await follow(start);
  expect(ahead).toBeDefined();
  expect(await uploadsOf(place, key)).toEqual([ahead!.uploadId]);
  const before = proxy.count('UploadPart');
  expect(before).toBeGreaterThan(0);
  const { pin, bytes } = await pinned(start.startedAt);
  const inspection = await walkedAhead(subject.backupId, bytes, io.signal);
  expect(inspection).toEqual(await inspectRdb(bytes));
  const { dump } = await storeDump(context, subject, bytes, pin.sizeBytes, { ...io, resumeFrom: ahead });
  expect(dump.sizeBytes).toBe(pin.sizeBytes);
  expect(proxy.count('UploadPart')).toBe(Math.ceil(pin.sizeBytes / ahead!.partSize));
  expect(await storedDigest()).toBe(inspection!.sha256);
  expect(await uploadsOf(place, key)).toEqual([]);
});

test('the dump of another save than the one that was followed is walked and stored as it is', async () => {
  await slowSaves(redis, 2);
  const start = await save();
  const { ahead } = await follow(start);
  await live.set('written', 'later');
  await slowSaves(redis, 0);
  await live.save();
  const { pin, bytes } = await pinned(start.startedAt);
  expect(await walkedAhead(subject.backupId, bytes, io.signal)).toBeUndefined();
  await storeDump(context, subject, bytes, pin.sizeBytes, { ...io, resumeFrom: ahead });
  const written = await readFile(join(redis.dir, 'dump.rdb'));
  expect(await storedDigest()).toBe(createHash('sha256').update(written).digest('hex'));
});

test('FLUSHALL in the middle of the save: the wait fails, and of what was stored ahead nothing stays', async () => {
  await live.config('SET', 'save', '');
  await slowSaves(redis, 600);
  const start = await save();
  await expect.poll(() => live.info('persistence')).toContain('rdb_bgsave_in_progress:1');
  const waiting = follow(start).catch((error) => error);
  await live.flushall();
  expect(await waiting).toMatchObject({ code: 'SAVE_LOST' });
  await repository.sweepUploads('');
  expect(await uploadsOf(place, key)).toEqual([]);
  await prunePins(redis.dir, subject.backupId, { keep: 0, forMs: 0, minFreePercent: 0, stored: false, now: 0 });
});

test('a store that is gone while the save runs costs nothing but the time that would have been won', async () => {
  await slowSaves(redis, 3);
  await proxy.stop();
  const start = await save();
  const { endedAt } = await follow(start);
  expect(endedAt).toBeGreaterThanOrEqual(start.startedAt);
  const { bytes } = await pinned(start.startedAt);
  expect(await walkedAhead(subject.backupId, bytes, io.signal)).toEqual(await inspectRdb(bytes));
});
