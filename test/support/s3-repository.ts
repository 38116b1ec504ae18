import { randomBytes } from 'node:crypto';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { openRepository, type RepositorySettings } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { s3Client } from '../../repository/s3/client.ts';
import { S3Repository } from '../../repository/s3/s3-repository.ts';
import { type S3Access, s3Client as testClient } from './s3-store.ts';

/** Where a test's repository is: a prefix of its own in a bucket of a real store. */
export interface S3TestPlace extends S3Access {
  readonly bucket: string;
  readonly prefix: string;
}

/** A prefix that no other test has. Credentials go the way that they go in earnest: by the environment. */
export function testPlace(store: S3Access & { bucket: string }): S3TestPlace {
  Object.assign(process.env, store.env);
  return { ...store, prefix: `test-${randomBytes(6).toString('hex')}` };
}

/** As a configuration would name it; `endpoint` may be that of a proxy before the store. */
export function settingsFor(place: S3TestPlace, more: Partial<RepositorySettings> = {}): RepositorySettings {
  const { bucket, prefix, endpoint, region } = place;
  return { url: `s3://${bucket}/${prefix}`, endpoint, region, pathStyle: true, ...more };
}

export function openTestRepository(place: S3TestPlace, more: Partial<RepositorySettings> = {}): Promise<Repository> {
  return openRepository(settingsFor(place, more));
}

/** A repository that gives a store up sooner than in earnest, so that a test need not wait. */
export async function openImpatiently(place: S3TestPlace, more: Partial<RepositorySettings> = {}): Promise<Repository> {
  const settings = settingsFor(place, more);
  const client = await s3Client(settings, { attempts: 2, connectMs: 500, silenceMs: 500 });
  const { url, encryption = { sse: 'aws:kms' } } = settings;
  return new S3Repository(client, { url, bucket: place.bucket, prefix: `${place.prefix}/`, encryption });
}

/** Uploads of a key that are open in the store, asked by the test's own client. */
export async function uploadsOf(place: S3TestPlace, key: string): Promise<string[]> {
  const client = testClient(place);
  try {
    const request = new ListMultipartUploadsCommand({ Bucket: place.bucket, Prefix: `${place.prefix}/${key}` });
    return ((await client.send(request)).Uploads ?? []).map(({ UploadId }) => UploadId as string);
  } finally {
    client.destroy();
  }
}
