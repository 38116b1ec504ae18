import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { readArchive } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { fillEveryType } from '../support/dataset.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

/** A write stands in the file before it is answered. */
const settings = { ...debugAllowed(), appendonly: 'yes', appendfsync: 'always', 'aof-timestamp-enabled': 'yes' };

/** However busy the machine is. */
const timeout = 600_000;
const patienceMs = 240_000;

describe('Redis was killed -9, and what it had on the disk is gone', () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let repository: Repository;

  beforeAll(async () => {
    redis = await startRedis({ config: settings });
    await fillEveryType(redis);
    const started = { ...settings, port: String(redis.port), bind: '127.0.0.1', dir: redis.dir, save: '' };
    const args = Object.entries(started).flatMap(([name, value]) => [`--${name}`, value]);
    on = await startOnS3({
      servers: { orders: redis },
      instance: () => ({ archive: { segmentEvery: '1s' }, host: { service: { process: { args } } } }),
    });
    Object.assign(process.env, on.store.env);
    repository = await openRepository(on.config.repository as Parameters<typeof openRepository>[0]);
    await on.deployment.backup('orders');
    await on.deployment.client.workflow.start('shipAof', {
      taskQueue: 'rewind',
      workflowId: 'ship-aof/orders',
      args: [{ instance: 'orders' }],
    });
  }, timeout);
  afterAll(async () => {
    await on?.deployment.client.workflow.getHandle('ship-aof/orders').terminate();
    // The one that the agent started.
    const last = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` }).catch(() => undefined);
    await last?.call('SHUTDOWN', 'NOSAVE').catch(() => undefined);
    await on?.stop();
  }, timeout);

  it('the end of its archive is proposed, not the backup that is older, and a write from after that is back', {
    timeout,
  }, async () => {
    const live = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` });
    for (let i = 0; i < 200; i++) await live.multi().incr('counter').rpush('list', `${i}\r\n`).exec();
    await live.set('last', 'after the backup');
    live.disconnect();
    const digest = await dataDigest(redis);
    await expect
      .poll(
        async () =>
          (await readArchive(repository)).segments.some(({ body }) => Buffer.from(body).includes('after the backup')),
        { timeout: patienceMs, interval: 1_000 },
      )
      .toBe(true);
    await redis.kill9();
    await rm(join(redis.dir, 'appendonlydir'), { recursive: true });

    const run = await on.deployment.client.workflow.start('recoverNodeCrash', {
      taskQueue: 'rewind',
      workflowId: 'node-crash/orders',
      args: [{ instance: 'orders' }],
    });
    const waiting = await untilAsked(run, undefined, patienceMs);
    expect(waiting.gate?.default).toBe('archive');
    expect(waiting.gate?.choices.map(({ id }) => id.replace(/:.*/, ''))).toEqual(['archive', 'backup']);
    await approve(run, waiting, 'archive');
    expect(await run.result()).toMatchObject({ kind: 'node-crash', recovered: true });
    expect(await dataDigest(redis)).toBe(digest);
  });
});
