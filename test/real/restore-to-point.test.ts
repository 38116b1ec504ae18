import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { listSandboxes, stopSandbox } from '../../restore/files/started-sandbox.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

describe('a restore from S3', () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let backupId: string;
  let digest: string;

  beforeAll(async () => {
    redis = await startRedis({ config: debugAllowed() });
    await fillEveryType(redis);
    on = await startOnS3({ servers: { orders: redis } });
    backupId = (await on.deployment.backup('orders')).backup.id;
    digest = await dataDigest(redis);
  });
  afterAll(async () => {
    const home = on && join(on.deployment.home('sandbox'), 'sandbox');
    for (const { id } of home ? await listSandboxes(home) : []) await stopSandbox(home, id);
    await on?.stop();
  });

  const emptied = async () => {
    const live = await connectTo(redis);
    await live.flushall();
    live.disconnect();
  };

  it('into the live server brings every key back to the byte', async () => {
    await emptied();
    const answer = await on.deployment.cli('restore', 'orders', '--into', 'live', '--json');
    expect(answer.stderr).not.toContain('safe:');
    const result = JSON.parse(answer.stdout);
    expect(result).toMatchObject({ instance: 'orders', to: backupId, into: 'live', verified: true });
    expect(result.keys).toMatchObject({ kept: 0, replaced: 0 });
    expect(answer.code).toBe(0);
    expect(await dataDigest(redis)).toBe(digest);
  });

  it('keeps what is live, and lists it in the repository only', async () => {
    await emptied();
    const live = await connectTo(redis);
    // A key of the backup, written anew since.
    await live.set('counter', 'written since');
    const { stdout, code } = await on.deployment.cli('restore', 'orders', '--into', 'live', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ verified: true, keys: { kept: 1, replaced: 0 } });
    expect(await live.get('counter')).toBe('written since');
    live.disconnect();
  });

  it('into a sandbox gives a server with the data that stays up, and no password in its answer', async () => {
    const { stdout, code, stderr } = await on.deployment.cli('restore', 'orders', '--json');
    expect(stderr).not.toContain('safe:');
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ into: 'sandbox', verified: true, url: expect.stringMatching(/^redis:\/\/127/) });
    expect(code).toBe(0);
    const [, file] = /^[^:]+:(.+)$/.exec(result.passwordFile) ?? [];
    const password = (await readFile(file as string, 'utf8')).trim();
    expect(stdout + stderr).not.toContain(password);
    const sandbox = await connectRedis({ url: result.url, password });
    expect(await sandbox.dbsize()).toBeGreaterThan(100);
    sandbox.disconnect();
  });

  it('into a folder gives files that a plain redis-server starts from', async () => {
    const dir = `${redis.dir}/restored`;
    const { stdout, code, stderr } = await on.deployment.cli('restore', 'orders', '--into', dir, '--json');
    expect(stderr).not.toContain('safe:');
    expect(JSON.parse(stdout)).toMatchObject({ into: dir, path: expect.stringContaining(`:${dir}`) });
    expect(code).toBe(0);
    const copy = await startRedis({ config: debugAllowed(), dir });
    try {
      expect(await dataDigest(copy)).toBe(digest);
    } finally {
      await copy.stop();
    }
  });
});
