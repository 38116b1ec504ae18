import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectTo, fillEveryType, slowSaves, untilSaving } from '../support/dataset.ts';
import { failureOf } from '../support/failure-of.ts';
import { lookAround } from '../support/left-as-found.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

/** A dead owner must have let go by then; measured: under two seconds. */
const SOON_MS = 10_000;

describe('one workflow at a time owns an instance', () => {
  let redis: RedisServer;
  let on: S3Deployment;

  beforeAll(async () => {
    redis = await startRedis();
    await fillEveryType(redis);
    on = await startOnS3({ servers: { orders: redis } });
  });
  afterAll(() => on?.stop());

  /** A run that is in the middle of its save and stays there for a while. */
  async function owner() {
    await slowSaves(redis, 4);
    const run = await on.deployment.startBackup('orders');
    await untilSaving(redis);
    await slowSaves(redis, 0);
    return run;
  }

  it('a second backup ends at once, names the first and leaves it alone, whatever id it was started under', async () => {
    const around = await lookAround(on.scene('orders'));
    const first = await owner();
    const second = await on.deployment.client.workflow.start('scheduledBackup', {
      taskQueue: 'rewind',
      workflowId: `typed-by-hand-${first.firstExecutionRunId}`,
      args: [{ instance: 'orders' }],
    });
    const failure = await failureOf(second);
    expect(failure).toMatchObject({ code: 'INSTANCE_BUSY', message: expect.stringContaining(first.workflowId) });
    expect((await first.describe()).status.name).toBe('RUNNING');
    expect(await first.result()).toMatchObject({ backup: { state: 'verified' } });
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });

  const ends = {
    completed: async () => {
      await on.deployment.backup('orders');
    },
    failed: async () => {
      const live = await connectTo(redis);
      await live.replicaof('127.0.0.1', 1);
      expect(await failureOf(await on.deployment.startBackup('orders'))).toMatchObject({ code: 'PREFLIGHT_REFUSED' });
      await live.replicaof('NO', 'ONE');
      live.disconnect();
    },
    cancelled: async () => {
      const run = await owner();
      await run.cancel();
      expect(await failureOf(run)).toMatchObject({ code: 'CANCELLED' });
    },
    terminated: async () => {
      const run = await owner();
      await run.terminate();
    },
  };
  it.for(Object.keys(ends) as (keyof typeof ends)[])('an owner that %s lets go of it', async (end) => {
    const around = await lookAround(on.scene('orders'));
    await ends[end]();
    const endedAt = Date.now();
    const next = await on.deployment.startBackup('orders');
    while ((await next.query<{ step: string }>('progress')).step === 'readPolicy')
      expect(Date.now() - endedAt).toBeLessThan(SOON_MS);
    expect(await next.result()).toMatchObject({ backup: { state: 'verified' } });
    await around.nothingIsLeft();
  });
});
