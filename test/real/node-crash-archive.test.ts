import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { dataDigest } from '../support/data-digest.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type FollowedOnS3, startFollowedOnS3 } from '../support/followed-on-s3.ts';

/** However busy the machine is. */
const timeout = 600_000;
const patienceMs = 240_000;

describe('Redis was killed -9, and what it had on the disk is gone', () => {
  let scene: FollowedOnS3;
  beforeAll(async () => {
    scene = await startFollowedOnS3();
    await scene.on.deployment.backup('orders');
  }, timeout);
  afterAll(() => scene?.stop(), timeout);

  it('the end of its archive is proposed, not the backup that is older, and a write from after that is back', {
    timeout,
  }, async () => {
    const { redis, on } = scene;
    const digest = await scene.write('after the backup');
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

  it('and where its agent was lost with it, a new one on an empty machine goes on, and nobody has to adopt the server', {
    timeout,
  }, async () => {
    const { redis, on } = scene;
    const { deployment } = on;
    const live = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` });
    await live.set('last', 'before the machine was lost');
    const digest = await dataDigest(redis);
    await scene.shipped('before the machine was lost');
    const pid = Number(/process_id:(\d+)/.exec(await live.info('server'))?.[1]);
    for (const each of [deployment.pid('host'), pid]) process.kill(each, 'SIGKILL');
    live.disconnect();
    await rm(join(redis.dir, 'appendonlydir'), { recursive: true });
    await rm(deployment.home('host'), { recursive: true, maxRetries: 10 });
    await mkdir(join(deployment.home('host'), 'tmp'), { recursive: true });
    await deployment.start('host');

    const run = await deployment.client.workflow.start('recoverNodeCrash', {
      taskQueue: 'rewind',
      workflowId: 'node-crash/orders',
      args: [{ instance: 'orders' }],
    });
    const waiting = await untilAsked(run, undefined, patienceMs);
    await approve(run, waiting, 'archive');
    expect(await run.result()).toMatchObject({ recovered: true });
    expect(await dataDigest(redis)).toBe(digest);
    expect(await deployment.backup('orders')).toMatchObject({ backup: { state: 'verified' } });
  });
});
