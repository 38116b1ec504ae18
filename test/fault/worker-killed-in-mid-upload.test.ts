import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter, fromPayloadsAtIndex } from '@temporalio/common';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Heartbeat } from '../../activities/step.ts';
import { fillMegabytes } from '../support/dataset.ts';
import { lookAround } from '../support/left-as-found.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

const MEGABYTES = 48;

let redis: RedisServer;
let on: S3Deployment;

beforeAll(async () => {
  redis = await startRedis({ config: { rdbcompression: 'no' } });
  await fillMegabytes(redis, MEGABYTES);
  on = await startOnS3({
    servers: { orders: redis },
    instance: () => ({ limits: { uploadBytesPerSecond: 6_000_000 } }),
  });
});
afterAll(() => on?.stop());

it('a host agent killed -9 in the middle of an upload: the next one goes on with the parts that are there', async () => {
  const around = await lookAround(on.scene('orders'));
  const run = await on.deployment.startBackup('orders');
  const before = await uploadedBytes(run);
  expect(before).toBeLessThan(MEGABYTES * 1e6);
  await on.deployment.kill9('host');
  await on.deployment.start('host');
  const { backup } = await run.result();
  expect(backup).toMatchObject({ state: 'verified', keys: MEGABYTES * 1024 });
  await around.nothingIsLeft();
  await around.nextRunSucceeds();
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
