import { readdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { orFailure } from '../../check/failure-of.ts';
import { findingsOf } from '../../check/findings-of.ts';
import type { ProbeReport } from '../../check/observed.ts';
import { readProbe, removeProbe, writeProbe } from '../../check/probe.ts';
import { openRepository, type RepositorySettings } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { healthy } from '../support/observed.ts';
import { createBucket, type S3Access, s3Client } from '../support/s3-store.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { missingVersitygw, startVersitygw } from '../support/versitygw.ts';

const minio = inject('minio');
const undo: (() => unknown)[] = [];

beforeAll(() => {
  Object.assign(process.env, minio.env);
});

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function open(settings: RepositorySettings): Promise<Repository> {
  const repository = await openRepository(settings);
  undo.push(() => repository.close());
  return repository;
}

async function folderRepository(): Promise<{ repository: Repository; path: string }> {
  const folder = await temporaryFolder('probe');
  undo.push(() => folder.remove());
  const path = join(folder.path, 'repository');
  return { repository: await open({ url: pathToFileURL(path).href }), path };
}

const onMinio = async (settings: Partial<RepositorySettings> = {}): Promise<RepositorySettings> => ({
  url: `s3://${await createBucket(minio, 'probe')}/redis`,
  endpoint: minio.endpoint,
  region: minio.region,
  pathStyle: true,
  encryption: { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId },
  ...settings,
});

async function keysOf(access: S3Access, url: string): Promise<(string | undefined)[]> {
  const client = s3Client(access);
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: new URL(url).host }));
  client.destroy();
  return Contents.map(({ Key }) => Key).filter((key) => !key?.includes('/encryption/'));
}

/** What is found of a probe alone. */
const found = (probe: ProbeReport) => findingsOf({ ...healthy(), probe }).map(({ code }) => code);

/** The way of a probe, written by one and read by another. */
async function through(writer: Repository, reader: Repository): Promise<ProbeReport> {
  const written = await orFailure(() => writeProbe(writer, 'orders'));
  if ('failure' in written) return { written, readings: {} };
  const reading = await orFailure(async () => ({ reading: await readProbe(reader, written) }));
  await removeProbe(writer, written);
  return { written, readings: { sandbox: reading } };
}

describe('a folder', () => {
  test('is written, looked at, read back and left empty', async () => {
    const { repository, path } = await folderRepository();
    const probe = await through(repository, await open({ url: repository.url }));
    expect(probe.written).toMatchObject({ kind: 'file', encryption: { sse: 'none' } });
    expect(found(probe)).toEqual(['STORE_NOT_ENCRYPTED']);
    const files = await readdir(path, { recursive: true, withFileTypes: true });
    expect(files.filter((entry) => entry.isFile()).map(({ name }) => name)).toEqual([]);
  });

  test('that is another one for another role is noticed, though both have the same name', async () => {
    const [here, there] = [await folderRepository(), await folderRepository()];
    const probe = await through(here.repository, there.repository);
    expect(probe.readings.sandbox).toEqual({ reading: 'missing' });
    expect(found(probe)).toContain('REPOSITORY_NOT_SHARED');
  });

  test('that cannot be made is an error that says so', async () => {
    const folder = await temporaryFolder('probe');
    undo.push(() => folder.remove());
    await writeFile(join(folder.path, 'a-file'), 'in the way');
    const refused = await open({ url: pathToFileURL(join(folder.path, 'a-file', 'repository')).href });
    expect(found(await through(refused, refused))).toEqual(['REPOSITORY_FOLDER_REFUSED']);
  });

  test('keeps nothing of a check that was killed an hour ago, and the probe of one that runs', async () => {
    const { repository, path } = await folderRepository();
    const old = await writeProbe(repository, 'orders');
    const running = await writeProbe(repository, 'orders');
    const hoursAgo = new Date(Date.now() - 2 * 3_600_000);
    await utimes(join(path, old.key), hoursAgo, hoursAgo);
    const next = await writeProbe(repository, 'orders');
    expect(await readProbe(repository, old)).toBe('missing');
    expect(await readProbe(repository, running)).toBe('same');
    expect(await readProbe(repository, next)).toBe('same');
  });

  test('is not asked to remove anything but a probe', async () => {
    const { repository } = await folderRepository();
    const key = 'daily/orders/20261123T205000Z-1f3a9c04/dump.rdb';
    await repository.putSmall(key, Buffer.from('a backup'));
    await expect(removeProbe(repository, { key })).rejects.toMatchObject({ code: 'REPOSITORY_NAME_INVALID' });
    await expect(removeProbe(repository, { key: `probe/../${key}` })).rejects.toMatchObject({
      code: 'REPOSITORY_NAME_INVALID',
    });
    expect(await repository.stat(key)).toBeDefined();
  });
});

describe('a bucket', () => {
  test('with KMS has nothing to find; its clock is read and nothing is left', async () => {
    const settings = await onMinio();
    const probe = await through(await open(settings), await open(settings));
    expect(probe.written).toMatchObject({ kind: 's3', encryption: { sse: 'aws:kms' }, hasChecksum: true });
    expect(Math.abs((probe.written as { clockSkewMs: number }).clockSkewMs)).toBeLessThan(5_000);
    expect(found(probe)).toEqual([]);
    expect(await keysOf(minio, settings.url)).toEqual([]);
  });

  test('without encryption is found', async () => {
    const settings = await onMinio({ encryption: { sse: 'none' } });
    expect(found(await through(await open(settings), await open(settings)))).toEqual(['STORE_NOT_ENCRYPTED']);
  });

  test('whose key does not exist is found before a backup is tried', async () => {
    const settings = await onMinio({ encryption: { sse: 'aws:kms', kmsKeyId: 'no-such-key' } });
    expect(found(await through(await open(settings), await open(settings)))).toEqual(['STORE_KEY_REFUSED']);
    expect(await keysOf(minio, settings.url)).toEqual([]);
  });

  test('that does not exist, and a store that is down, are findings', async () => {
    const missing = await open(await onMinio({ url: 's3://no-such-bucket-here/redis' }));
    expect(found(await through(missing, missing))).toEqual(['STORE_BUCKET_MISSING']);
    const down = await open(await onMinio({ endpoint: 'http://127.0.0.1:9' }));
    expect(found(await through(down, down))).toEqual(['STORE_UNREACHABLE']);
  });

  test.skipIf(missingVersitygw())('of a store that ignores aws:kms is found, and nothing is left in it', async () => {
    const store = await startVersitygw();
    undo.push(() => store.stop());
    Object.assign(process.env, store.env);
    undo.push(() => Object.assign(process.env, minio.env));
    const settings = {
      url: `s3://${store.bucket}/redis`,
      endpoint: store.endpoint,
      region: store.region,
      pathStyle: true,
      encryption: { sse: 'aws:kms' },
    } as const;
    const repository = await open(settings);
    expect(found(await through(repository, repository))).toEqual(['ENCRYPTION_IGNORED']);
    expect(await keysOf(store, settings.url)).toEqual([]);
  });
});
