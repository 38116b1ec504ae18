import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter, fromPayloadsAtIndex } from '@temporalio/common';
import { expect, inject, it } from 'vitest';
import type { Heartbeat } from '../../activities/step.ts';
import { fillMegabytes } from '../support/dataset.ts';
import { startDeployment } from '../support/deployment.ts';
import { createBucket } from '../support/s3-store.ts';
import { startRedis } from '../support/servers.ts';

const MEGABYTES = 48;

it('a host agent killed -9 in the middle of an upload: the next one goes on with the parts that are there', async () => {
  const minio = inject('minio');
  const redis = await startRedis({ config: { rdbcompression: 'no' } });
  await fillMegabytes(redis, MEGABYTES);
  const bucket = await createBucket(minio);
  const deployment = await startDeployment({
    temporal: inject('temporal'),
    env: minio.env,
    config: {
      repository: {
        url: `s3://${bucket}/redis`,
        endpoint: minio.endpoint,
        region: minio.region,
        pathStyle: true,
        encryption: { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId },
      },
      instances: { orders: { url: `redis://127.0.0.1:${redis.port}`, limits: { uploadBytesPerSecond: 6_000_000 } } },
    },
  });
  try {
    const handle = await deployment.startBackup();
    const before = await uploadedBytes(handle);
    expect(before).toBeLessThan(MEGABYTES * 1e6);
    await deployment.kill9('host');
    await deployment.start('host');
    const { backup } = await handle.result();
    expect(backup).toMatchObject({ state: 'verified', keys: MEGABYTES * 1024 });
  } finally {
    await deployment.stop();
    await redis.stop();
  }
});

/** Waits until some, but not all, parts are stored. */
async function uploadedBytes(handle: WorkflowHandle): Promise<number> {
  for (;;) {
    const { raw } = await handle.describe();
    const upload = raw.pendingActivities?.find(({ activityType }) => activityType?.name === 'upload');
    const beat =
      upload?.heartbeatDetails &&
      fromPayloadsAtIndex<Heartbeat<unknown>>(defaultPayloadConverter, 0, upload.heartbeatDetails.payloads);
    if (beat?.done && beat.cursor) return beat.done;
    await sleep(100);
  }
}
