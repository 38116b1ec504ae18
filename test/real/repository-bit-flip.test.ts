import { createHash, randomBytes } from 'node:crypto';
import { open, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, inject, test } from 'vitest';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { openTestRepository, testPlace } from '../support/s3-repository.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const dump = 'hourly/orders/20261123T205000Z-1f3a9c04/dump.rdb';
const sizeBytes = 20 * 1024 * 1024;

test('file://: a bit flipped in the stored dump changes nothing that the store says, and is found by reading it', async () => {
  await using folder = await temporaryFolder('bit-flip');
  const root = join(folder.path, 'repository');
  const repository = await openRepository({ url: pathToFileURL(root).href });
  const { stored, digest } = await store(repository, folder.path);
  await flipBit(join(root, dump), sizeBytes / 2);
  await expect(repository.verifyStored(dump, stored)).resolves.toEqual(stored);
  expect(await digestOf(repository)).not.toBe(digest);
});

test('s3://: a bit flipped on the store’s disk changes nothing that the store says, and reading it is given up for good', async () => {
  await using folder = await temporaryFolder('bit-flip');
  const minio = inject('minio');
  const place = testPlace(minio);
  const encryption = { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId } as const;
  const repository = await openTestRepository(place, { encryption });
  const { stored } = await store(repository, folder.path);
  const onDisk = join(minio.dataDir, minio.bucket, place.prefix, dump);
  const [part] = (await readdir(onDisk, { recursive: true })).filter((name) => name.endsWith('part.1'));
  await flipBit(join(onDisk, part as string), 5_000_000);
  await expect(repository.verifyStored(dump, stored)).resolves.toEqual(stored);
  // MinIO checks its disks and breaks off; a store that does not would hand out other bytes.
  await expect(digestOf(repository)).rejects.toMatchObject({ code: 'OBJECT_UNREADABLE', retryable: false });
  repository.close();
}, 90_000);

async function store(repository: Repository, folder: string) {
  const bytes = randomBytes(sizeBytes);
  const path = join(folder, 'dump');
  await writeFile(path, bytes);
  const stored = await repository.putFile(dump, { path }, { sizeBytes });
  const digest = createHash('sha256').update(bytes).digest('hex');
  expect(await digestOf(repository)).toBe(digest);
  return { stored, digest };
}

async function digestOf(repository: Repository): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of await repository.read(dump)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function flipBit(path: string, at: number): Promise<void> {
  await using file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  byte[0]! ^= 1;
  await file.write(byte, 0, 1, at);
}
