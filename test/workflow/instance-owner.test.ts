import { setTimeout as sleep } from 'node:timers/promises';
import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { utcTime } from '../../repository/layout.ts';
import type { ScheduledBackupResult } from '../../workflows/scheduled-backup.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { connectTo, fillEveryType, slowSaves, untilSaving } from '../support/dataset.ts';
import { failureOf } from '../support/failure-of.ts';
import { approve, TOLD_APART_MS, untilAsked } from '../support/flush-incident.ts';
import { lookAround } from '../support/left-as-found.ts';
import { untilStep } from '../support/run-steps.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { s3Client } from '../support/s3-store.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

/** A dead owner must have let go by then; measured: under two seconds, on a busy machine with a run's start up to ten. */
const SOON_MS = 25_000;

async function untilFenced(live: Redis): Promise<void> {
  const refused = () => live.set('anything', 1).catch(({ message }: Error) => message);
  await expect.poll(refused, { timeout: 20_000 }).toMatch(/NOPERM/);
}

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
    await slowSaves(redis, 8);
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

  it('a runbook waits for no backup: that goes on beside it, and later ones are flagged; a second runbook is refused', async () => {
    await on.deployment.backup('orders');
    await sleep(TOLD_APART_MS);
    const backup = await owner();
    const live = await connectTo(redis);
    await live.flushdb();
    const runbook = (id: string) =>
      on.deployment.client.workflow.start('recoverAccidentalFlush', {
        taskQueue: 'rewind',
        workflowId: id,
        args: [{ instance: 'orders' }],
      });
    const first = await runbook('accidental-flush/orders');
    await untilFenced(live);
    expect((await backup.describe()).status.name).toBe('RUNNING');
    const waiting = await untilAsked(first);
    expect(await failureOf(await runbook('typed-by-hand'))).toMatchObject({
      code: 'INSTANCE_BUSY',
      message: expect.stringContaining('accidental-flush/orders'),
    });
    // Its save was begun before anything happened.
    const { backup: before } = (await backup.result()) as ScheduledBackupResult;
    expect(before).toMatchObject({ state: 'verified' });
    expect(before.flagged).toBeUndefined();
    expect((await on.deployment.backup('orders')).backup.flagged).toContain('accidental-flush/orders was open');
    await approve(first, waiting);
    expect(await first.result()).toMatchObject({ recovered: true });
    live.disconnect();
  });

  const ends = {
    completed: async () => {
      const run = await on.deployment.startBackup('orders');
      await run.result();
      return run;
    },
    failed: async () => {
      const live = await connectTo(redis);
      await live.replicaof('127.0.0.1', 1);
      const run = await on.deployment.startBackup('orders');
      expect(await failureOf(run)).toMatchObject({ code: 'PREFLIGHT_REFUSED' });
      await live.replicaof('NO', 'ONE');
      live.disconnect();
      return run;
    },
    cancelled: async () => {
      const run = await owner();
      await run.cancel();
      expect(await failureOf(run)).toMatchObject({ code: 'CANCELLED' });
      return run;
    },
    terminated: async () => {
      const run = await owner();
      await run.terminate();
      return run;
    },
  };
  it.for(Object.keys(ends) as (keyof typeof ends)[])('an owner that %s lets go of it', async (end) => {
    const around = await lookAround(on.scene('orders'));
    const dead = await (await ends[end]()).describe();
    expect(dead.status.name).toBe(end.toUpperCase());
    const endedAt = Date.now();
    const next = await on.deployment.startBackup('orders');
    await untilStep(on.deployment.client, next, 'preflight');
    expect(Date.now() - endedAt).toBeLessThan(SOON_MS);
    expect(await next.result()).toMatchObject({ backup: { state: 'verified' } });
    // No code of a terminated run removes what it stored; the test below shows when that goes.
    const stays = end === 'terminated' ? dead.typedSearchAttributes.get(searchAttributes.backupId) : undefined;
    await around.nothingIsLeft(stays);
  });

  it('what a terminated run left in the store is removed two days later, and not before', async () => {
    const { bucket, prefix } = on.store;
    const client = s3Client(on.store);
    const left = async (id: string) => {
      const directory = `${prefix}/hourly/orders/${id}`;
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${directory}/server.json`, Body: '{}' }));
      await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: `${directory}/dump.rdb` }));
      return async () => {
        const objects = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: directory }));
        const uploads = await client.send(
          new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: `${directory}/dump.rdb` }),
        );
        return (objects.KeyCount ?? 0) + (uploads.Uploads ?? []).length;
      };
    };
    const hoursAgo = (hours: number) => `${utcTime(new Date(Date.now() - hours * 3_600_000))}-0123abcd`;
    const old = await left(hoursAgo(49));
    const young = await left(hoursAgo(47));
    await on.deployment.backup('orders');
    expect(await old()).toBe(0);
    expect(await young()).toBe(2);
    client.destroy();
  });
});
