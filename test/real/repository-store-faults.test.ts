import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from 'vitest';
import type { Repository, UploadCursor } from '../../repository/repository.ts';
import { crc32Base64 } from '../../repository/s3/crc32.ts';
import {
  answers,
  answersWithHeaders,
  dropsDownloadAfter,
  dropsUploadAfter,
  losesAnswer,
  type S3FaultProxy,
  startS3FaultProxy,
  startSilentServer,
  swallows,
  tricklesDownload,
  waits,
} from '../support/s3-fault-proxy.ts';
import {
  openImpatiently,
  openTestRepository,
  type S3TestPlace,
  testPlace,
  uploadsOf,
} from '../support/s3-repository.ts';
import { s3Client } from '../support/s3-store.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const MIB = 1024 * 1024;
const dump = 'hourly/orders/20261123T205000Z-1f3a9c04/dump.rdb';
const minio = inject('minio');
const encryption = { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId } as const;

let folder: TemporaryFolder;
let proxy: S3FaultProxy;
/** The real store, and the same behind the proxy. */
let store: S3TestPlace;
let broken: S3TestPlace;
let repository: Repository;
/** 40 MiB: three parts. */
let bytes: Buffer;
let source: { path: string };

beforeAll(async () => {
  folder = await temporaryFolder('store-faults');
  proxy = await startS3FaultProxy(minio.endpoint);
  bytes = randomBytes(40 * MIB + 17);
  source = { path: join(folder.path, 'dump') };
  await writeFile(source.path, bytes);
});
afterAll(async () => {
  await proxy.stop();
  await folder.remove();
});
beforeEach(async () => {
  proxy.heal();
  store = testPlace(minio);
  broken = { ...store, endpoint: proxy.endpoint };
  repository = await openTestRepository(broken, { encryption });
});
afterEach(() => repository.close());

const upload = (options: object = {}) => repository.putFile(dump, source, { sizeBytes: bytes.length, ...options });

test('a store that answers 500 now and then is asked again, and the upload goes on', async () => {
  for (const operation of ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'HeadObject']) {
    proxy.fail(operation, answers(500, 'InternalError'), { times: 2 });
  }
  proxy.fail('UploadPart', answers(503, 'SlowDown'), { times: 1, after: 1 });
  await upload();
  expect(await sha256Of(dump)).toBe(digest(bytes));
});

test('a store that goes on answering 500 is a clear failure, and the cursor continues where it broke', async () => {
  const cursors: UploadCursor[] = [];
  const onCursor = (cursor: UploadCursor) => cursors.push(cursor);
  proxy.fail('UploadPart', answers(500, 'InternalError'), { after: 1 });
  await expect(upload({ onCursor })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true });
  expect(await uploadsOf(store, dump)).toEqual([cursors[0]?.uploadId]);

  proxy.heal();
  const before = proxy.count('UploadPart');
  await upload({ onCursor, resume: cursors[0] });
  expect(proxy.count('UploadPart') - before).toBe(2);
  expect(await sha256Of(dump)).toBe(digest(bytes));
});

test('without a cursor a failed upload leaves nothing open', async () => {
  proxy.fail('UploadPart', answers(500, 'InternalError'), { after: 1 });
  await expect(upload()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(await uploadsOf(store, dump)).toEqual([]);
});

test('a connection that breaks in the middle of a part is made again', async () => {
  proxy.fail('UploadPart', dropsUploadAfter(3 * MIB), { times: 3 });
  await upload();
  expect(await sha256Of(dump)).toBe(digest(bytes));
  expect(await uploadsOf(store, dump)).toEqual([]);
});

test('a slow store is waited for', async () => {
  proxy.fail('*', waits(150));
  await upload();
  expect(await sha256Of(dump)).toBe(digest(bytes));
});

test('a store that falls silent is given up, not waited for for ever', async () => {
  const silent = await startSilentServer();
  const impatient = await openImpatiently({ ...store, endpoint: silent.endpoint });
  await expect(impatient.putSmall(dump, Buffer.from('x'))).rejects.toMatchObject({
    code: 'STORE_UNREACHABLE',
    retryable: true,
  });
  impatient.close();
  await silent.close();
});

test('a store that is not there is said so', async () => {
  const nowhere = await openImpatiently({ ...store, endpoint: 'http://127.0.0.1:9' });
  await expect(nowhere.stat(dump)).rejects.toMatchObject({ code: 'STORE_UNREACHABLE', retryable: true });
  nowhere.close();
});

test('an upload whose completion was lost on the way back is found to be done', async () => {
  proxy.fail('CompleteMultipartUpload', losesAnswer(), { times: 1 });
  const stored = await upload();
  expect(stored.checksum?.value).toBe(crc32Base64(crc32(bytes)));
  expect(proxy.count('CompleteMultipartUpload')).toBeGreaterThan(1);
  expect(await uploadsOf(store, dump)).toEqual([]);
});

test('a retried completion that answers NoSuchUpload after it succeeded is success', async () => {
  proxy.fail('CompleteMultipartUpload', losesAnswer(), { times: 1 });
  proxy.fail('CompleteMultipartUpload', answers(404, 'NoSuchUpload'), { times: 1 });
  await expect(upload()).resolves.toMatchObject({ sizeBytes: bytes.length });
});

test('a stream whose completion was lost on the way back is found to be done', async () => {
  proxy.fail('CompleteMultipartUpload', losesAnswer(), { times: 1 });
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += MIB) yield bytes.subarray(at, at + MIB);
  }
  await expect(repository.putStream(dump, chunks())).resolves.toMatchObject({ sizeBytes: bytes.length });
});

test('an upload that somebody else ended is an error that may be tried again', async () => {
  proxy.fail('UploadPart', answers(404, 'NoSuchUpload'), { after: 1, times: 1 });
  await expect(upload()).rejects.toMatchObject({ retryable: true });
  await expect(upload()).resolves.toMatchObject({ sizeBytes: bytes.length });
});

test('a store that accepts an upload and then misses the object is caught, and the next attempt stores it', async () => {
  proxy.fail('PutObject', swallows(), { times: 1 });
  const damaged = { code: 'UPLOAD_DAMAGED', message: expect.stringContaining('does not have it'), retryable: true };
  await expect(repository.putSmall('hourly/a', Buffer.from('x'))).rejects.toMatchObject(damaged);
  await expect(repository.putSmall('hourly/a', Buffer.from('x'))).resolves.toMatchObject({ sizeBytes: 1 });

  const done = '<CompleteMultipartUploadResult><ETag>"0-3"</ETag></CompleteMultipartUploadResult>';
  proxy.fail('CompleteMultipartUpload', swallows(done), { times: 1 });
  await expect(upload()).rejects.toMatchObject(damaged);
  expect(await uploadsOf(store, dump)).toEqual([]);
  await expect(upload()).resolves.toMatchObject({ sizeBytes: bytes.length });
});

test('a store that kept fewer bytes than it was sent is caught, and its object is removed', async () => {
  proxy.fail('HeadObject', answersWithHeaders({ 'content-length': '1000' }), { after: 1, times: 1 });
  await expect(upload()).rejects.toMatchObject({
    code: 'UPLOAD_DAMAGED',
    message: expect.stringContaining('1000 bytes'),
  });
  expect(await repository.stat(dump)).toBeUndefined();
});

test('a store that has another checksum than the bytes is caught, in either form', async () => {
  for (const value of ['AAAAAA==', 'AAAAAA==-3']) {
    const type = value.endsWith('-3') ? 'COMPOSITE' : 'FULL_OBJECT';
    const headers = { 'x-amz-checksum-crc32': value, 'x-amz-checksum-type': type };
    proxy.fail('HeadObject', answersWithHeaders(headers), { after: 1, times: 1 });
    await expect(upload()).rejects.toMatchObject({ code: 'UPLOAD_DAMAGED', message: expect.stringContaining(value) });
    expect(await repository.stat(dump)).toBeUndefined();
  }
});

test('a store that returns no checksum is accepted, and what stands there already is compared by its bytes', async () => {
  proxy.fail('HeadObject', answersWithHeaders({ 'x-amz-checksum-crc32': undefined, 'x-amz-checksum-type': undefined }));
  const stored = await upload();
  expect(stored.checksum).toBeUndefined();
  await expect(upload()).resolves.toMatchObject({ sizeBytes: bytes.length });
  await expect(repository.verifyStored(dump, stored)).resolves.toMatchObject({ sizeBytes: bytes.length });
  const other = { path: join(folder.path, 'other') };
  await writeFile(other.path, Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes.at(-1)! ^ 1])]));
  await expect(repository.putFile(dump, other, { sizeBytes: bytes.length })).rejects.toMatchObject({
    code: 'OBJECT_EXISTS',
  });
});

test('a store that takes another key than it was asked for is caught, and its object is removed', async () => {
  const otherKey = { 'x-amz-server-side-encryption-aws-kms-key-id': 'arn:aws:kms:us-east-1:111122223333:key/other' };
  proxy.fail('HeadObject', answersWithHeaders(otherKey), { after: 1, times: 1 });
  await expect(upload()).rejects.toMatchObject({
    code: 'ENCRYPTION_IGNORED',
    message: expect.stringContaining(`the key ${minio.kmsKeyId} was asked for and the store used arn:aws:kms`),
  });
  expect(await repository.stat(dump)).toBeUndefined();
});

test('a bucket or a key that does not exist, and refused credentials, are each said so', async () => {
  const plain = { encryption: { sse: 'none' } } as const;
  const noBucket = await openTestRepository({ ...store, bucket: 'no-such-bucket' }, plain);
  await expect(noBucket.putSmall(dump, Buffer.from('x'))).rejects.toMatchObject({ code: 'STORE_BUCKET_MISSING' });
  await expect(Array.fromAsync(noBucket.list(''))).rejects.toMatchObject({ code: 'STORE_BUCKET_MISSING' });
  noBucket.close();

  const noKey = await openTestRepository(store, { encryption: { sse: 'aws:kms', kmsKeyId: 'no-such-key' } });
  const refusedKey = { code: 'STORE_KEY_REFUSED', retryable: false };
  await expect(noKey.putSmall(dump, Buffer.from('x'))).rejects.toMatchObject(refusedKey);
  await expect(noKey.putFile(dump, source, { sizeBytes: bytes.length })).rejects.toMatchObject(refusedKey);
  expect(await noKey.stat(dump)).toBeUndefined();
  noKey.close();

  const secret = process.env.AWS_SECRET_ACCESS_KEY;
  process.env.AWS_SECRET_ACCESS_KEY = 'wrong';
  try {
    const stranger = await openTestRepository(store, plain);
    const error = await stranger.putSmall(dump, Buffer.from('x')).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'STORE_ACCESS_DENIED', retryable: false });
    expect(JSON.stringify([error.message, error.details])).not.toContain(minio.env.AWS_SECRET_ACCESS_KEY);
    stranger.close();
  } finally {
    process.env.AWS_SECRET_ACCESS_KEY = secret;
  }
});

test('a clock that is far off is said so', async () => {
  proxy.fail('*', answers(403, 'RequestTimeTooSkewed'));
  await expect(repository.putSmall(dump, Buffer.from('x'))).rejects.toMatchObject({ code: 'STORE_CLOCK_SKEW' });
});

test('a download that breaks off is taken up where it broke, as often as bytes come', async () => {
  await upload();
  proxy.fail('GetObject', dropsDownloadAfter(7 * MIB));
  expect(await sha256Of(dump)).toBe(digest(bytes));
  expect(proxy.count('GetObject')).toBeGreaterThanOrEqual(5);
});

test('a store that cuts downloads short, without an error, is asked for the rest', async () => {
  await upload();
  proxy.fail('GetObject', answersWithHeaders({ 'content-length': '1000000' }), { times: 2 });
  expect(await sha256Of(dump)).toBe(digest(bytes));
});

test('a download that comes slowly comes', async () => {
  await repository.putSmall('hourly/a', bytes.subarray(0, MIB));
  proxy.fail('GetObject', tricklesDownload(2 * MIB));
  expect(await repository.readSmall('hourly/a', MIB)).toHaveLength(MIB);
});

test('a download without a byte any more is given up', async () => {
  await upload();
  const impatient = await openImpatiently(broken);
  proxy.fail('GetObject', dropsDownloadAfter(5 * MIB), { times: 1 });
  proxy.fail('GetObject', answers(503, 'SlowDown'));
  const reading = Array.fromAsync(await impatient.read(dump));
  await expect(reading).rejects.toMatchObject({
    code: 'STORE_UNREACHABLE',
    message: expect.stringContaining('broke off at byte'),
  });
  impatient.close();
}, 90_000);

test('an object that is replaced while its download is broken off is an error, not a mixture', async () => {
  await upload();
  proxy.fail('GetObject', dropsDownloadAfter(64 * 1024), { times: 1 });
  const reading = (await repository.read(dump))[Symbol.asyncIterator]();
  await reading.next();
  // MinIO lets nobody replace what it still sends.
  await sleep(200);
  const client = s3Client(minio);
  await client.send(
    new PutObjectCommand({ Bucket: store.bucket, Key: `${store.prefix}/${dump}`, Body: randomBytes(bytes.length) }),
  );
  client.destroy();
  const rest = async () => {
    for (let step = await reading.next(); !step.done; step = await reading.next());
  };
  await expect(rest()).rejects.toMatchObject({ code: 'OBJECT_DIFFERS' });
});

async function sha256Of(key: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of await repository.read(key)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

const digest = (of: Buffer): string => createHash('sha256').update(of).digest('hex');
