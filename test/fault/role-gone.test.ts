import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ScheduledBackupResult } from '../../workflows/scheduled-backup.ts';
import { fillEveryType, fillMegabytes } from '../support/dataset.ts';
import { failureOf } from '../support/failure-of.ts';
import { lookAround } from '../support/left-as-found.ts';
import { stepsOf, untilStep } from '../support/run-steps.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { storeGate } from '../support/store-gate.ts';

/** Shorter than a role may be silent. */
const A_WHILE_MS = 4_000;

describe('a role that is gone for a while', () => {
  let redis: RedisServer;
  let on: S3Deployment;

  beforeAll(async () => {
    redis = await startRedis();
    await fillEveryType(redis);
    // Nothing is killed while it works, so that silence is never a reason to try again, however busy the machine is.
    on = await startOnS3({ servers: { orders: redis }, timeouts: { heartbeat: '30s', roleSilence: '60s' } });
  });
  afterAll(() => on?.stop());

  it('host agent, then sandbox: the backup waits for them and is verified', async () => {
    const around = await lookAround(on.scene('orders'));
    await on.deployment.kill9('host');
    await on.deployment.kill9('sandbox');
    const run = await on.deployment.startBackup('orders');
    await untilStep(on.deployment.client, run, 'preflight');
    await sleep(A_WHILE_MS);
    await on.deployment.start('host');
    await untilStep(on.deployment.client, run, 'loadAndVerify');
    await sleep(A_WHILE_MS);
    await on.deployment.start('sandbox');
    expect(await run.result()).toMatchObject({ backup: { state: 'verified' } });
    // Nothing had to be tried again: a step waits in its queue.
    expect((await stepsOf(run)).map(({ attempts }) => attempts)).toSatisfy((all: number[]) => Math.max(...all) === 1);
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });
});

describe('a role that is gone for good', () => {
  let proxy: S3FaultProxy;
  let redis: RedisServer;
  let on: S3Deployment;

  beforeAll(async () => {
    redis = await startRedis({ config: { rdbcompression: 'no' } });
    await fillMegabytes(redis, 24);
    proxy = await startS3FaultProxy(inject('minio').endpoint);
    on = await startOnS3({
      servers: { orders: redis },
      endpoint: proxy.endpoint,
      roles: ['orchestrator', 'host'],
      timeouts: { roleSilence: '8s' },
    });
  });
  afterAll(async () => {
    await on?.stop();
    await proxy?.stop();
  });

  it('sandbox: the backup is stored as unproven with exit code 3, and rewind verify proves it later', {
    timeout: 300_000,
  }, async () => {
    const around = await lookAround(on.scene('orders'));
    const taken = await on.deployment.cli('backup', 'orders', '--json');
    const { backup } = JSON.parse(taken.stdout) as ScheduledBackupResult;
    expect(backup).toMatchObject({ state: 'unproven', reason: expect.stringContaining('no sandbox worker') });
    expect(taken.code).toBe(3);
    await around.nothingIsLeft();

    await on.deployment.start('sandbox');
    const proven = await on.deployment.cli('verify', 'orders', backup.id, '--json');
    expect(JSON.parse(proven.stdout)).toMatchObject({ backup: { id: backup.id, state: 'verified' } });
    expect(proven.code).toBe(0);
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });

  it('host agent in mid-upload: the run says which worker to start, and nothing of it stays in the store', async () => {
    const around = await lookAround(on.scene('orders'));
    const gate = storeGate(/partNumber=2/);
    proxy.fail('UploadPart', gate.fault);
    const run = await on.deployment.startBackup('orders');
    await gate.reached;
    await on.deployment.kill9('host');
    gate.open();
    expect(await failureOf(run)).toMatchObject({
      code: 'AGENT_SILENT',
      message: expect.stringContaining('rewind worker --role host --instance orders'),
    });
    await on.deployment.start('host');
    await around.nextRunSucceeds();
  });
});
