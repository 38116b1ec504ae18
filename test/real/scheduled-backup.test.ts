import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GetObjectCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { defaultPayloadConverter, fromPayloadsAtIndex } from '@temporalio/common';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Heartbeat } from '../../activities/step.ts';
import type { Verification } from '../../repository/manifest.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { connectTo, fillEveryType, slowSaves } from '../support/dataset.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { createBucket, s3Client } from '../support/s3-store.ts';
import { type RedisServer, redisBinary, startRedis } from '../support/servers.ts';

describe('a backup from a Redis with a password to S3 under aws:kms', () => {
  let redis: RedisServer;
  let deployment: Deployment;
  let bucket: string;
  const minio = inject('minio');

  beforeAll(async () => {
    redis = await startRedis({ password: 'a-secret-that-must-not-be-seen' });
    await fillEveryType(redis);
    bucket = await createBucket(minio);
    deployment = await startDeployment({
      temporal: inject('temporal'),
      env: {
        ...minio.env,
        ORDERS_PASSWORD: redis.password,
        // On Redis' own host its program is on PATH.
        PATH: `${dirname(redisBinary())}:${process.env.PATH}`,
      },
      config: {
        repository: {
          url: `s3://${bucket}/redis`,
          endpoint: minio.endpoint,
          region: minio.region,
          pathStyle: true,
          encryption: { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId },
        },
        instances: { orders: { url: `redis://127.0.0.1:${redis.port}`, password: { env: 'ORDERS_PASSWORD' } } },
      },
    });
  });
  afterAll(async () => {
    await deployment?.stop();
    await redis?.stop();
  });

  it('is verified, listed, and leaves nothing behind on the host or open in the store', async () => {
    const handle = await deployment.startBackup();
    const { backup } = await handle.result();
    const live = await connectTo(redis);
    const keys = (await live.dbsize()) + 1; // one key lies in another database
    live.disconnect();
    expect(backup).toMatchObject({ state: 'verified', keys, tier: 'monthly' });

    const listed = await deployment.cli('backups', 'orders', '--json');
    expect(listed.code).toBe(0);
    expect(JSON.parse(listed.stdout).backups).toEqual([
      expect.objectContaining({ id: backup.id, state: 'verified', keys }),
    ]);
    expect(await readdir(redis.dir)).not.toContain('.rewind');
    const s3 = s3Client(minio);
    const open = await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    s3.destroy();
    expect(open.Uploads ?? []).toEqual([]);
  });

  it('keeps what makes the server the same again beside the dump: users, and settings that are not the default', async () => {
    const admin = await connectTo(redis);
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    admin.disconnect();
    const { backup } = await deployment.backup();
    const s3 = s3Client(minio);
    const key = `redis/${backup.tier}/orders/${backup.id}/server.json`;
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    const text = (await Body?.transformToString()) ?? '';
    s3.destroy();
    expect(text).not.toContain(redis.password);
    const description = JSON.parse(text);
    expect(description.configurationIs).toBe('changed-from-default');
    expect(description.configuration).toMatchObject({ 'maxmemory-policy': 'allkeys-lru' });
    expect(description.configuration).not.toHaveProperty('hz');
    expect(description.withheld).toContain('requirepass');
    expect(description.acl.join()).toContain('user default on');
  });

  it('tells what it does while it does it: live figures in its heartbeats, its story on the page, who it is by attributes', async () => {
    await slowSaves(redis, 8);
    const run = await deployment.startBackup();
    const figures = async () => {
      const { raw } = await run.describe();
      const step = raw.pendingActivities?.find(({ activityType }) => activityType?.name === 'waitForBgsave');
      const beat = step?.heartbeatDetails?.payloads;
      return beat ? fromPayloadsAtIndex<Heartbeat<unknown>>(defaultPayloadConverter, 0, beat) : {};
    };
    await expect
      .poll(figures, { timeout: 60_000, interval: 100 })
      .toMatchObject({ phase: 'running', done: expect.any(Number), total: expect.any(Number), unit: 'keys' });
    expect(await run.query('progress')).toMatchObject({ phase: 'saving', step: 'waitForBgsave' });
    await slowSaves(redis, 0);
    const { backup } = await run.result();

    expect(await run.query('progress')).toMatchObject({ phase: 'done' });
    const { typedSearchAttributes } = await run.describe();
    expect(typedSearchAttributes.get(searchAttributes.instance)).toBe('orders');
    expect(typedSearchAttributes.get(searchAttributes.phase)).toBe('done');
    expect(typedSearchAttributes.get(searchAttributes.outcome)).toBe('verified');
    expect(typedSearchAttributes.get(searchAttributes.backupId)).toBe(backup.id);
    const { currentDetails } = await run.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    for (const line of [
      'saved in',
      'pinned',
      `walked ${backup.keys} keys`,
      'stored',
      'sampled keys have the same content',
    ])
      expect(currentDetails).toContain(line);
    const { events } = await run.fetchHistory();
    const steps = (events ?? []).filter((event) => event.activityTaskScheduledEventAttributes);
    const unnamed = steps.filter(({ userMetadata }) => !userMetadata?.summary);
    expect(unnamed.map((each) => each.activityTaskScheduledEventAttributes?.activityType?.name)).toEqual([
      'readPolicy',
    ]);
  });

  it('records each of its checks in the manifest, with figures and the moment of each', async () => {
    const { backup } = await deployment.backup();
    const s3 = s3Client(minio);
    const key = `redis/${backup.tier}/orders/${backup.id}/manifest.json`;
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    const manifest = JSON.parse((await Body?.transformToString()) ?? '');
    s3.destroy();
    expect(manifest.verifications.map(({ name, result }: Verification) => `${name} ${result}`).sort()).toEqual(
      [
        ...['ctime', 'crc64', 'resizedb', 'stored', 'sha256', 'redis-check-rdb'],
        ...['load', 'loaded-keys', 'functions', 'sample'],
      ]
        .map((name) => `${name} ok`)
        .sort(),
    );
    expect(manifest.verifications.every(({ time }: Verification) => Date.parse(time) > 0)).toBe(true);
    const sample = manifest.verifications.find(({ name }: Verification) => name === 'sample');
    expect(sample.figures).toMatchObject({ sampled: backup.keys, same: backup.keys, differing: 0 });
    expect(manifest.save.startedAt <= manifest.save.endedAt).toBe(true);
  });

  it('keeps its history under 110 events and 40 KB, without the password or a key in it', async () => {
    const handle = await deployment.startBackup();
    await handle.result();
    const { historyLength, historySize } = await handle.describe();
    expect(historyLength).toBeLessThanOrEqual(110);
    expect(historySize).toBeLessThanOrEqual(40_000);
    const told = JSON.stringify(await handle.fetchHistory());
    const decoded =
      Buffer.from(told).toString() +
      [...told.matchAll(/"data":"([^"]+)"/g)].map(([, data]) => atob(data as string)).join('\n');
    expect(decoded).not.toContain(redis.password);
    expect(decoded).not.toContain('session:1');
  });
});
