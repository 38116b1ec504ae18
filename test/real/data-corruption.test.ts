import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

describe('the dump of a stopped Redis has rotted', () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let digest: string;
  let backupId: string;

  beforeAll(async () => {
    redis = await startRedis({ config: debugAllowed() });
    await fillEveryType(redis);
    const args = ['--port', String(redis.port), '--bind', '127.0.0.1', '--dir', redis.dir, '--save', ''];
    on = await startOnS3({
      servers: { orders: redis },
      instance: () => ({
        host: { service: { process: { args: [...args, '--enable-debug-command', 'local'] } } },
      }),
    });
    backupId = (await on.deployment.backup('orders')).backup.id;
    digest = await dataDigest(redis);
  });
  afterAll(async () => {
    // The one that the agent started.
    const last = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` }).catch(() => undefined);
    await last?.call('SHUTDOWN', 'NOSAVE').catch(() => undefined);
    await on?.stop();
  });

  it('is shown with its offset and its choices, and a proven backup takes its place; the rotten file is kept', async () => {
    const live = await connectTo(redis);
    await live.save();
    live.disconnect();
    await redis.kill9();
    const dump = join(redis.dir, 'dump.rdb');
    const bytes = await readFile(dump);
    bytes.fill(0, bytes.length >> 1, (bytes.length >> 1) + 64);
    await writeFile(dump, bytes);

    const run = await on.deployment.client.workflow.start('recoverDataCorruption', {
      taskQueue: 'rewind',
      workflowId: 'data-corruption/orders',
      args: [{ instance: 'orders' }],
    });
    await expect
      .poll(async () => run.query<Progress>('progress').catch(() => undefined), { timeout: 120_000, interval: 250 })
      .toMatchObject({ phase: 'waiting-for-approval' });
    const { gate } = await run.query<Progress>('progress');
    // Which bytes these are is by the server's hash seed: within a value only the checksum tells, and no byte.
    expect(gate?.summary).toMatch(/dump\.rdb.* is damaged at byte -?\d+/);
    expect(gate?.choices.map(({ id }) => id)).toEqual(expect.arrayContaining([`backup:${backupId}`, 'salvage']));
    await run.executeUpdate('approve', {
      args: [{ approver: 'a test', plan: gate?.plan, choice: `backup:${backupId}` }],
    });
    expect(await run.result()).toMatchObject({ kind: 'data-corruption', recovered: true });
    expect(await dataDigest(redis)).toBe(digest);
  });
});
