import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GetObjectCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectTo, fillEveryType } from '../support/dataset.ts';
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
