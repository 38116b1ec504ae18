import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ScheduledBackupResult } from '../../workflows/scheduled-backup.ts';
import { fillEveryType } from '../support/dataset.ts';
import { lookAround } from '../support/left-as-found.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

const HOUR_MS = 3_600_000;

let redis: RedisServer;
let on: S3Deployment;

beforeAll(async () => {
  redis = await startRedis();
  await fillEveryType(redis);
  on = await startOnS3({ servers: { orders: redis }, roles: [] });
});
afterAll(() => on?.stop());

const preload = fileURLToPath(new URL('../support/clock-off.ts', import.meta.url));
const clockOff = (ms: number) => ({ NODE_OPTIONS: `--import=${preload}`, CLOCK_OFF_MS: String(ms) });

it('the workers’ clocks are an hour off, by a shifted Date, in both directions: times are by Redis’ clock, and a person is told', async () => {
  const around = await lookAround(on.scene('orders'));
  await Promise.all([
    on.deployment.start('orchestrator', clockOff(HOUR_MS)),
    on.deployment.start('host', clockOff(-HOUR_MS)),
    on.deployment.start('sandbox', clockOff(HOUR_MS)),
  ]);
  const run = await on.deployment.startBackup('orders');
  const { backup } = (await run.result()) as ScheduledBackupResult;
  expect(backup).toMatchObject({ state: 'verified' });
  expect(Math.abs(Date.parse(backup.time) - Date.now())).toBeLessThan(HOUR_MS / 2);
  const { currentDetails } = await run.query<{ currentDetails: string }>('__temporal_workflow_metadata');
  expect(currentDetails).toMatch(/clock and the agent's differ by 36\d\d s/);
  await around.nothingIsLeft();
  await around.nextRunSucceeds();
});
