import { createHash, randomBytes } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import type { Repository, UploadCursor } from '../../repository/repository.ts';
import { crc32Base64 } from '../../repository/s3/crc32.ts';
import { openTestRepository, type S3TestPlace, testPlace, uploadsOf } from '../support/s3-repository.ts';
import { s3Client } from '../support/s3-store.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const MIB = 1024 * 1024;
const dump = 'hourly/orders/20261123T205000Z-1f3a9c04/dump.rdb';
const minio = inject('minio');

let folder: TemporaryFolder;
let place: S3TestPlace;
let repository: Repository;
let client: S3Client;
/** 40 MiB: three parts. */
let large: { path: string; bytes: Buffer };

beforeAll(async () => {
  folder = await temporaryFolder('repository-s3');
  large = await someFile(40 * MIB + 17);
});
afterAll(() => folder.remove());
beforeEach(async () => {
  place = testPlace(minio);
  client = s3Client(minio);
  repository = await openTestRepository(place, { encryption: { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId } });
});
afterEach(() => {
  repository.close();
  client.destroy();
});

describe('what is stored', () => {
  test('a large file is there whole, encrypted under the key, with one checksum over all bytes', async () => {
    const stored = await repository.putFile(dump, large, { sizeBytes: large.bytes.length });
    expect(stored).toMatchObject({
      key: dump,
      sizeBytes: large.bytes.length,
      encryption: { sse: 'aws:kms', kmsKeyId: `arn:aws:kms:${minio.kmsKeyId}` },
      checksum: { algorithm: 'CRC32', type: 'FULL_OBJECT', value: crc32Base64(crc32(large.bytes)) },
    });
    const answer = await client.send(new HeadObjectCommand({ ...object(dump), ChecksumMode: 'ENABLED' }));
    expect(answer).toMatchObject({
      ContentLength: large.bytes.length,
      ServerSideEncryption: 'aws:kms',
      ChecksumCRC32: stored.checksum?.value,
    });
    expect(await sha256Of(dump)).toBe(digest(large.bytes));
    expect(await uploadsOf(place, dump)).toEqual([]);
  });

  test('a file of exactly one part, of two parts, and of nothing', async () => {
    for (const sizeBytes of [16 * MIB, 32 * MIB, 0]) {
      const { path, bytes } = await someFile(sizeBytes);
      const key = `hourly/orders/exact/${sizeBytes}`;
      expect(await repository.putFile(key, { path }, { sizeBytes })).toMatchObject({ sizeBytes });
      expect(await sha256Of(key)).toBe(digest(bytes));
    }
  });

  test('an open descriptor is stored from its beginning, wherever it was read to', async () => {
    await using file = await open(large.path);
    await file.read(Buffer.alloc(1000), 0, 1000, null);
    await repository.putFile(dump, { fd: file.fd }, { sizeBytes: large.bytes.length });
    expect(await sha256Of(dump)).toBe(digest(large.bytes));
  });

  test('a stream of chunks of any size is stored whole, small and large', async () => {
    for (const [key, bytes] of [
      ['a/large', large.bytes],
      ['a/small', large.bytes.subarray(0, 12_345)],
    ] as const) {
      const stored = await repository.putStream(key, inChunks(bytes));
      expect(stored).toMatchObject({ sizeBytes: bytes.length, checksum: { value: crc32Base64(crc32(bytes)) } });
      expect(await sha256Of(key)).toBe(digest(bytes));
    }
  });

  test('a stream that breaks is not stored, and its parts are freed', async () => {
    async function* broken() {
      yield* inChunks(large.bytes);
      throw new Error('the link to Redis broke');
    }
    await expect(repository.putStream(dump, broken())).rejects.toThrow('the link to Redis broke');
    expect(await repository.stat(dump)).toBeUndefined();
    expect(await uploadsOf(place, dump)).toEqual([]);
  });

  test('AES256 and none are kept as asked for', async () => {
    for (const sse of ['AES256', 'none'] as const) {
      const other = await openTestRepository({ ...place, prefix: `${place.prefix}-${sse}` }, { encryption: { sse } });
      expect((await other.putSmall('a', Buffer.from('x'))).encryption.sse).toBe(sse);
      expect((await other.putFile(dump, large, { sizeBytes: large.bytes.length })).encryption.sse).toBe(sse);
      other.close();
    }
  });

  test('parts of a file are read by byte range', async () => {
    await repository.putFile(dump, large, { sizeBytes: large.bytes.length });
    for (const [start, end] of [
      [0, 1],
      [5, 11],
      [17 * MIB, 17 * MIB + 5],
    ] as const) {
      const bytes = Buffer.concat(await Array.fromAsync(await repository.read(dump, { start, end })));
      expect(bytes.equals(large.bytes.subarray(start, end))).toBe(true);
    }
  });

  test('more objects than one answer lists are all listed', async () => {
    const names = Array.from({ length: 1_050 }, (_, index) => `hourly/many/${String(index).padStart(5, '0')}`);
    const plain = await openTestRepository(place, { encryption: { sse: 'none' } });
    for (let from = 0; from < names.length; from += 50) {
      await Promise.all(
        names.slice(from, from + 50).map((name) => client.send(new PutObjectCommand({ ...object(name), Body: 'x' }))),
      );
    }
    expect((await Array.fromAsync(plain.list('hourly/many/'))).map(({ key }) => key)).toEqual(names);
    plain.close();
  });
});

describe('names are never overwritten', () => {
  test('the same upload twice is one object', async () => {
    const first = await repository.putFile(dump, large, { sizeBytes: large.bytes.length });
    const again = await repository.putFile(dump, large, { sizeBytes: large.bytes.length });
    expect(again.etag).toBe(first.etag);
    const small = await repository.putSmall('a', Buffer.from('x'));
    expect((await repository.putSmall('a', Buffer.from('x'))).etag).toBe(small.etag);
  });

  test('other bytes under the name are refused, and the first ones stay', async () => {
    await repository.putFile(dump, large, { sizeBytes: large.bytes.length });
    const other = await someFile(large.bytes.length);
    const refused = { code: 'OBJECT_EXISTS' };
    await expect(repository.putFile(dump, other, { sizeBytes: other.bytes.length })).rejects.toMatchObject(refused);
    await expect(repository.putStream(dump, inChunks(other.bytes))).rejects.toMatchObject(refused);
    await expect(repository.putSmall(dump, Buffer.from('x'))).rejects.toMatchObject(refused);
    expect(await sha256Of(dump)).toBe(digest(large.bytes));
    expect(await uploadsOf(place, dump)).toEqual([]);
  });

  test('two at once with the same bytes both succeed, and no upload is left open', async () => {
    const both = [1, 2].map(() => repository.putFile(dump, large, { sizeBytes: large.bytes.length }));
    const [one, other] = await Promise.all(both);
    expect(one?.checksum).toEqual(other?.checksum);
    expect(await sha256Of(dump)).toBe(digest(large.bytes));
    expect(await uploadsOf(place, dump)).toEqual([]);
  });

  test('of two at once with other bytes one wins, whole, and the other is told', async () => {
    const other = await someFile(large.bytes.length);
    const results = await Promise.allSettled(
      [large, other].map((file) => repository.putFile(dump, file, { sizeBytes: file.bytes.length })),
    );
    const won = results.findIndex(({ status }) => status === 'fulfilled');
    const lost = results[1 - won];
    expect(lost).toMatchObject({ status: 'rejected', reason: { code: 'OBJECT_EXISTS' } });
    expect(await sha256Of(dump)).toBe(digest([large, other][won]!.bytes));
    expect(await uploadsOf(place, dump)).toEqual([]);
  });

  test('an object whose checksum is over parts, not over the bytes, is compared by its bytes', async () => {
    const { path, bytes } = await someFile(1_000);
    await storeComposite(bytes);
    expect((await repository.stat(dump))?.checksum).toMatchObject({ type: 'COMPOSITE' });
    await expect(repository.putFile(dump, { path }, { sizeBytes: 1_000 })).resolves.toMatchObject({ sizeBytes: 1_000 });
    bytes[500]! ^= 1;
    await writeFile(path, bytes);
    await expect(repository.putFile(dump, { path }, { sizeBytes: 1_000 })).rejects.toMatchObject({
      code: 'OBJECT_EXISTS',
    });
  });

  async function storeComposite(bytes: Buffer): Promise<void> {
    const asked = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: minio.kmsKeyId, ChecksumAlgorithm: 'CRC32' } as const;
    const { UploadId } = await client.send(
      new CreateMultipartUploadCommand({ ...object(dump), ...asked, ChecksumType: 'COMPOSITE' }),
    );
    const part = { PartNumber: 1, ChecksumCRC32: crc32Base64(crc32(bytes)) };
    const { ETag } = await client.send(new UploadPartCommand({ ...object(dump), UploadId, Body: bytes, ...part }));
    const MultipartUpload = { Parts: [{ ...part, ETag }] };
    await client.send(new CompleteMultipartUploadCommand({ ...object(dump), UploadId, MultipartUpload }));
  }
});

describe('an upload that was cut off', () => {
  test('is removed when nobody can continue it', async () => {
    const cancel = new AbortController();
    const reason = new Error('enough');
    const upload = repository.putFile(dump, large, {
      sizeBytes: large.bytes.length,
      signal: cancel.signal,
      onProgress: () => cancel.abort(reason),
    });
    await expect(upload).rejects.toBe(reason);
    expect(await repository.stat(dump)).toBeUndefined();
    expect(await uploadsOf(place, dump)).toEqual([]);
  });

  test('stays open for who keeps its cursor, and only what is missing is sent again', async () => {
    const cursor = await cutOffAfterOnePart();
    expect(await uploadsOf(place, dump)).toEqual([cursor.uploadId]);
    const progress: number[] = [];
    await repository.putFile(dump, large, {
      sizeBytes: large.bytes.length,
      resume: cursor,
      onCursor: (next) => expect(next).toEqual(cursor),
      onProgress: (done) => progress.push(done),
    });
    expect(progress.at(-1)).toBe(large.bytes.length);
    expect(await sha256Of(dump)).toBe(digest(large.bytes));
    expect(await uploadsOf(place, dump)).toEqual([]);
  });

  test('a part of other bytes is not trusted: it is sent again', async () => {
    const cursor = await cutOffAfterOnePart();
    const wrong = randomBytes(cursor.partSize);
    const part = { ...object(dump), UploadId: cursor.uploadId, PartNumber: 2 };
    await client.send(new UploadPartCommand({ ...part, Body: wrong, ChecksumCRC32: crc32Base64(crc32(wrong)) }));
    await repository.putFile(dump, large, { sizeBytes: large.bytes.length, resume: cursor });
    expect(await sha256Of(dump)).toBe(digest(large.bytes));
  });

  test('a cursor of an upload that is gone begins anew', async () => {
    const cursor = await cutOffAfterOnePart();
    expect(await repository.sweepUploads(dump)).toBe(1);
    const cursors: UploadCursor[] = [];
    const options = {
      sizeBytes: large.bytes.length,
      resume: cursor,
      onCursor: (next: UploadCursor) => cursors.push(next),
    };
    await repository.putFile(dump, large, options);
    expect(cursors[0]?.uploadId).not.toBe(cursor.uploadId);
    expect(await sha256Of(dump)).toBe(digest(large.bytes));
  });

  test('leftovers of attempts whose cursor was lost are removed by the one that succeeds', async () => {
    await cutOffAfterOnePart();
    await cutOffAfterOnePart();
    expect(await uploadsOf(place, dump)).toHaveLength(2);
    await repository.putFile(dump, large, { sizeBytes: large.bytes.length });
    expect(await uploadsOf(place, dump)).toEqual([]);
  });

  test('is swept by its backup’s directory, and nobody else’s is', async () => {
    await cutOffAfterOnePart();
    const other = 'hourly/orders/20261123T215000Z-1f3a9c05/dump.rdb';
    await client.send(new CreateMultipartUploadCommand(object(other)));
    const directory = dump.slice(0, dump.lastIndexOf('/') + 1);
    expect(await repository.sweepUploads(directory, new Date(Date.now() - 3_600_000))).toBe(0);
    expect(await repository.sweepUploads(directory)).toBe(1);
    expect(await uploadsOf(place, dump)).toEqual([]);
    expect(await uploadsOf(place, other)).toHaveLength(1);
    expect(await repository.sweepUploads(other)).toBe(1);
  });

  /** Ends with an upload that has its first part and whose cursor is known. */
  async function cutOffAfterOnePart(): Promise<UploadCursor> {
    const cancel = new AbortController();
    let cursor: UploadCursor | undefined;
    const upload = repository.putFile(dump, large, {
      sizeBytes: large.bytes.length,
      signal: cancel.signal,
      // One after the other, so that it is cut off before all are there.
      bytesPerSecond: 20 * MIB,
      onCursor: (next) => {
        cursor = next;
      },
      onProgress: () => cancel.abort(new Error('cut off')),
    });
    await expect(upload).rejects.toThrow('cut off');
    return cursor!;
  }
});

describe('what is asked for anew', () => {
  test('an object that lost its encryption, its bytes or itself after the upload is noticed', async () => {
    const stored = await repository.putSmall(dump, Buffer.from('the dump'));
    await expect(repository.verifyStored(dump, stored)).resolves.toEqual(stored);

    await client.send(new PutObjectCommand({ ...object(dump), Body: 'the dump' }));
    await expect(repository.verifyStored(dump, stored)).rejects.toMatchObject({
      code: 'ENCRYPTION_IGNORED',
      message: expect.stringContaining('now has no encryption'),
    });
    const other = Buffer.from('the dumP');
    await client.send(new PutObjectCommand({ ...object(dump), Body: other, ChecksumCRC32: crc32Base64(crc32(other)) }));
    await expect(repository.verifyStored(dump, stored)).rejects.toMatchObject({ code: 'OBJECT_DIFFERS' });
    await client.send(new PutObjectCommand({ ...object(dump), Body: 'the' }));
    await expect(repository.verifyStored(dump, stored)).rejects.toMatchObject({ code: 'OBJECT_DIFFERS' });
    await repository.remove(dump);
    await expect(repository.verifyStored(dump, stored)).rejects.toMatchObject({ code: 'OBJECT_MISSING' });
    await expect(repository.read(dump)).rejects.toMatchObject({ code: 'OBJECT_MISSING' });
    await expect(repository.readSmall(dump, 10)).rejects.toMatchObject({ code: 'OBJECT_MISSING' });
  });
});

describe('a move', () => {
  const from = 'hourly/orders/20261123T205000Z-1f3a9c04/';

  test('keeps bytes, checksum and encryption, and begun twice it ends once', async () => {
    const stored = await repository.putFile(`${from}dump.rdb`, large, { sizeBytes: large.bytes.length });
    await repository.putSmall(`${from}server.json`, Buffer.from('{}'));
    await repository.move(from, `failed/${from}`);
    await repository.move(from, `failed/${from}`);
    expect(await Array.fromAsync(repository.list(from))).toEqual([]);
    const moved = await repository.stat(`failed/${from}dump.rdb`);
    expect(moved).toMatchObject({
      sizeBytes: stored.sizeBytes,
      checksum: stored.checksum,
      encryption: stored.encryption,
    });
    expect(await sha256Of(`failed/${from}dump.rdb`)).toBe(digest(large.bytes));
  });

  test('killed between copy and removal is ended by the same call', async () => {
    await repository.putSmall(`${from}server.json`, Buffer.from('{}'));
    await repository.putSmall(`failed/${from}server.json`, Buffer.from('{}'));
    await repository.move(from, `failed/${from}`);
    expect((await Array.fromAsync(repository.list(''))).map(({ key }) => key)).toEqual([`failed/${from}server.json`]);
  });

  test('never overwrites what is there, and removes nothing then', async () => {
    await repository.putSmall(`${from}server.json`, Buffer.from('{}'));
    await repository.putSmall(`failed/${from}server.json`, Buffer.from('other'));
    await expect(repository.move(from, `failed/${from}`)).rejects.toMatchObject({ code: 'OBJECT_DIFFERS' });
    expect(await repository.stat(`${from}server.json`)).toBeDefined();
  });
});

const object = (key: string) => ({ Bucket: place.bucket, Key: `${place.prefix}/${key}` });
const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

async function sha256Of(key: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of await repository.read(key)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function someFile(sizeBytes: number): Promise<{ path: string; bytes: Buffer }> {
  const bytes = randomBytes(sizeBytes);
  const path = join(folder.path, `source-${randomBytes(4).toString('hex')}`);
  await writeFile(path, bytes);
  return { path, bytes };
}

async function* inChunks(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 777_777) yield bytes.subarray(at, at + 777_777);
}
