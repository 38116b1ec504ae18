import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { redisTimeMs } from '../../redis/info.ts';
import { readArchive } from '../support/archive.ts';
import { dataDigest } from '../support/data-digest.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type FollowedOnS3, startFollowedOnS3 } from '../support/followed-on-s3.ts';

/** However busy the machine is. */
const timeout = 600_000;
const patienceMs = 240_000;

describe('Redis was killed -9 that is archived by replication, and on its disk is what it saved for a backup', () => {
  let scene: FollowedOnS3;
  beforeAll(async () => {
    scene = await startFollowedOnS3('replication');
    await scene.on.deployment.backup('orders');
  }, timeout);
  afterAll(() => scene?.stop(), timeout);

  it('it is not started from that: the end of its archive is proposed, a write from after the backup is back, and the archive goes on', {
    timeout,
  }, async () => {
    const { redis, on, repository } = scene;
    const live = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` });
    await expect
      .poll(async () => (await readArchive(repository)).bases.length, { timeout: patienceMs, interval: 500 })
      .toBe(1);
    // What it wrote to its disk for the backup has whole seconds, and nothing of what comes now.
    await expect
      .poll(async () => (await redisTimeMs(live)) / 1_000 - (await live.lastsave()), { timeout: patienceMs })
      .toBeGreaterThan(4);
    live.disconnect();
    const digest = await scene.write('after the backup');
    await redis.kill9();

    const run = await on.deployment.client.workflow.start('recoverNodeCrash', {
      taskQueue: 'rewind',
      workflowId: 'node-crash/orders',
      args: [{ instance: 'orders' }],
    });
    const waiting = await untilAsked(run, undefined, patienceMs);
    expect(waiting.gate?.summary).toContain('its archive goes on beyond that');
    expect(waiting.gate?.choices.map(({ id }) => id.replace(/:.*/, ''))).toEqual(['start-local', 'archive', 'backup']);
    expect(waiting.gate?.default).toBe('archive');
    await approve(run, waiting, 'archive');
    expect(await run.result()).toMatchObject({ kind: 'node-crash', recovered: true });
    expect(await dataDigest(redis)).toBe(digest);

    const again = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` });
    await expect
      .poll(async () => (await readArchive(repository)).timelines.length, { timeout: patienceMs, interval: 500 })
      .toBe(2);
    await again.set('last', 'after the crash');
    again.disconnect();
    await scene.shipped('after the crash');
    expect((await readArchive(repository)).timelines[1]).toMatchObject({ why: 'restore', parent: { timeline: 1 } });
  });
});
