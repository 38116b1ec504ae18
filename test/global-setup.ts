import type { TestProject } from 'vitest/node';
import { type Minio, startMinio } from './support/minio.ts';
import { startTemporal } from './support/temporal.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The suite's Temporal server. Tests share it: names of their own, and they do not end it. */
    temporal: { address: string; namespace: string; uiUrl: string };
    /** The suite's MinIO. Tests make their own bucket in it (`createBucket`), or use the first one with a prefix. */
    minio: Pick<Minio, 'endpoint' | 'region' | 'env' | 'bucket' | 'kmsKeyId' | 'dataDir'>;
  }
}

/** One Temporal server and one S3 server for the whole suite; both end with it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [temporal, minio] = await Promise.all([startTemporal(), startMinio()]);
  const { address, namespace, uiUrl } = temporal;
  project.provide('temporal', { address, namespace, uiUrl });
  const { endpoint, region, env, bucket, kmsKeyId, dataDir } = minio;
  project.provide('minio', { endpoint, region, env, bucket, kmsKeyId, dataDir });
  return async () => {
    await Promise.all([temporal.stop(), minio.stop()]);
  };
}
