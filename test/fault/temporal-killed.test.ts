import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fillEveryType, slowSaves, untilSaving } from '../support/dataset.ts';
import { lookAround } from '../support/left-as-found.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { startTemporal, type Temporal } from '../support/temporal.ts';

let temporal: Temporal;
let redis: RedisServer;
let on: S3Deployment;

beforeAll(async () => {
  [temporal, redis] = await Promise.all([startTemporal(), startRedis()]);
  await fillEveryType(redis);
  on = await startOnS3({ servers: { orders: redis }, temporal });
});
afterAll(async () => {
  await on?.stop();
  await temporal?.stop();
});

it('the Temporal server is killed -9 in mid-run and is back a while later: the same run ends with a verified backup', async () => {
  const around = await lookAround(on.scene('orders'));
  await slowSaves(redis, 3);
  const run = await on.deployment.startBackup('orders');
  await untilSaving(redis);
  await slowSaves(redis, 0);
  await temporal.kill9();
  await sleep(4_000);
  await temporal.restart();
  expect(await run.result()).toMatchObject({ backup: { state: 'verified' } });
  await around.nothingIsLeft();
  await around.nextRunSucceeds();
});
