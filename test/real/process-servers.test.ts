import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { Redis } from 'ioredis';
import { describe, expect, inject, test } from 'vitest';
import { foundPart } from '../../process/found-parts.ts';
import { listensBeyondLoopback } from '../support/listening.ts';
import { startMinio } from '../support/minio.ts';
import { createBucket, s3Client } from '../support/s3-store.ts';
import { type Flavour, missingFlavour, randomPassword, startRedis } from '../support/servers.ts';
import { startTemporal } from '../support/temporal.ts';
import { untilGone } from '../support/until-gone.ts';
import { missingVersitygw, startVersitygw } from '../support/versitygw.ts';

const linux = process.platform === 'linux';

describe('Redis', () => {
  test('is gone with its leash and its folder when the process that started it is killed -9', async () => {
    const script = `
      import { startRedis } from ${JSON.stringify(new URL('../support/servers.ts', import.meta.url).pathname)};
      const { pid, dir } = await startRedis({ password: 'not-a-secret' });
      process.stdout.write(JSON.stringify({ pid, dir }));`;
    const parent = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { pid, dir } = JSON.parse(String((await once(parent.stdout, 'data'))[0]));
    expect(existsSync(dir)).toBe(true);
    parent.kill('SIGKILL');
    expect(await untilGone([pid])).toEqual([]);
    await expect.poll(() => existsSync(dir)).toBe(false);
  });

  test('has no password in its command line, and listens on loopback only', async () => {
    const password = randomPassword();
    const server = await startRedis({ password, unixsocket: true });
    try {
      expect(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })).not.toContain(password);
      if (linux) expect(listensBeyondLoopback(server.pid)).toEqual([]);
    } finally {
      await server.stop();
    }
  });

  test('that is killed -9 and started again has what it had saved', async () => {
    const server = await startRedis({ config: { save: ['900 1', '300 10'] } });
    const redis = new Redis(server.url);
    redis.on('error', () => {}); // the kill
    try {
      await redis.set('kept', 'yes');
      await redis.save();
      await redis.set('lost', 'yes');
      await server.kill9();
      expect(await server.exited).toEqual({ code: null, signal: 'SIGKILL' });
      await server.restart();
      expect(await redis.mget('kept', 'lost')).toEqual(['yes', null]);
    } finally {
      redis.disconnect();
      await server.stop();
    }
    expect(existsSync(server.dir)).toBe(false);
  });

  test('that refuses its configuration is an error with the last lines of its log', async () => {
    await expect(startRedis({ config: { maxmemory: 'much' } })).rejects.toMatchObject({
      code: 'PROGRAM_NOT_STARTED',
      message: expect.stringContaining('maxmemory'),
    });
  });

  test.for([
    ['redis-6.2', 'redis_version:6.2.'],
    ['redis-8.2', 'redis_version:8.2.'],
    ['valkey-8', 'valkey_version:8.'],
    ['valkey-9', 'valkey_version:9.'],
  ] satisfies [Flavour, string][])('%s is what it says it is', async ([flavour, version], { skip }) => {
    const missing = missingFlavour(flavour);
    skip(missing !== undefined, missing);
    const server = await startRedis({ flavour });
    const redis = new Redis(server.url);
    try {
      expect(await redis.info('server')).toContain(version);
    } finally {
      redis.disconnect();
      await server.stop();
    }
  });
});

describe('MinIO', () => {
  test('encrypts with the key that it was asked for, and refuses a key that it does not know', async () => {
    const minio = inject('minio');
    const client = s3Client(minio);
    const put = (kmsKeyId: string) =>
      client.send(
        new PutObjectCommand({
          Bucket: minio.bucket,
          Key: 'process-servers/object',
          Body: 'bytes',
          ServerSideEncryption: 'aws:kms',
          SSEKMSKeyId: kmsKeyId,
        }),
      );
    await put(minio.kmsKeyId);
    const head = await client.send(new HeadObjectCommand({ Bucket: minio.bucket, Key: 'process-servers/object' }));
    expect(head.ServerSideEncryption).toBe('aws:kms');
    expect(head.SSEKMSKeyId).toContain(minio.kmsKeyId);
    await expect(put('unknown-key')).rejects.toThrow(/kms:KeyNotFound|not exist/i);
    client.destroy();
  });

  test('keeps its objects when it is killed -9 and started again, and listens on loopback only', async () => {
    const minio = await startMinio();
    const client = s3Client(minio);
    try {
      await client.send(new PutObjectCommand({ Bucket: minio.bucket, Key: 'kept', Body: 'bytes' }));
      await minio.kill9();
      await minio.restart();
      const head = await client.send(new HeadObjectCommand({ Bucket: minio.bucket, Key: 'kept' }));
      expect(head.ContentLength).toBe(5);
      if (linux) expect(listensBeyondLoopback(minio.pid)).toEqual([]);
    } finally {
      client.destroy();
      await minio.stop();
    }
    expect(existsSync(minio.dataDir)).toBe(false);
  });
});

test.skipIf(missingVersitygw() !== undefined)('versitygw accepts aws:kms and does not encrypt', async () => {
  const store = await startVersitygw();
  const client = s3Client(store);
  try {
    const bucket = await createBucket(store);
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'k', Body: 'b', ServerSideEncryption: 'aws:kms' }));
    const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: 'k' }));
    expect(head.ServerSideEncryption).not.toBe('aws:kms');
    if (linux) expect(listensBeyondLoopback(store.pid)).toEqual([]);
  } finally {
    client.destroy();
    await store.stop();
  }
});

test('Temporal keeps closed workflows for 90 days, survives kill -9, and listens on loopback only', async () => {
  const temporal = await startTemporal();
  try {
    if (linux) expect(listensBeyondLoopback(temporal.pid)).toEqual([]);
    expect((await fetch(temporal.uiUrl)).ok).toBe(true);
    await temporal.kill9();
    await temporal.restart();
    const described = execFileSync(
      foundPart('temporal').path,
      ['operator', 'namespace', 'describe', '-n', temporal.namespace, '--address', temporal.address],
      { encoding: 'utf8' },
    );
    expect(described).toMatch(/Retention\S*\s+(2160h|90d)/i);
  } finally {
    await temporal.stop();
  }
});
