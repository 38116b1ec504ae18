import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ScheduledBackupResult } from '../../workflows/scheduled-backup.ts';
import { connectTo, fillEveryType, slowSaves, untilSaving } from '../support/dataset.ts';
import { lookAround } from '../support/left-as-found.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

/** How long the disturbed save would have taken: longer than a busy machine takes to disturb it. */
const SECONDS = 6;

describe.concurrent('while Redis writes the dump', () => {
  let on: S3Deployment;

  beforeAll(async () => {
    const names = ['killed', 'older', 'flushed', 'flushed-unsaved', 'queue'] as const;
    const servers = Object.fromEntries(
      await Promise.all(
        names.map(async (name) => {
          const redis = await startRedis({ config: name === 'flushed' ? { save: '3600 1000000' } : {} });
          await fillEveryType(redis);
          return [name, redis] as const;
        }),
      ),
    );
    on = await startOnS3({ servers });
  });
  afterAll(() => on?.stop());

  /** Starts a backup and comes back in the middle of its save. */
  async function inMidSave(instance: string) {
    const scene = on.scene(instance);
    const around = await lookAround(scene);
    await slowSaves(scene.redis, SECONDS);
    const run = await on.deployment.startBackup(instance);
    await untilSaving(scene.redis);
    return { ...scene, around, result: () => run.result() as Promise<ScheduledBackupResult> };
  }

  it('it is killed -9: another save is taken once it is back', async () => {
    await withLive(on.scene('killed').redis, (live) => live.save());
    const { redis, around, result } = await inMidSave('killed');
    await redis.kill9();
    await redis.restart();
    const { backup } = await result();
    expect(backup).toMatchObject({ state: 'verified', keys: await keysOf(redis) });
    expect(backup.flagged).toBeUndefined();
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });

  it('it is restarted with an older dump of few keys: those are what is saved, and flagged', async () => {
    const { redis } = on.scene('older');
    const dump = join(redis.dir, 'dump.rdb');
    await withLive(redis, async (live) => {
      await live.flushall();
      await live.set('all', 'that there was');
      await live.save();
    });
    const older = await readFile(dump);
    await fillEveryType(redis);
    expect((await on.deployment.backup('older')).backup.flagged).toBeUndefined();

    const { around, result } = await inMidSave('older');
    await redis.kill9();
    await writeFile(dump, older);
    await redis.restart();
    const { backup } = await result();
    expect(backup).toMatchObject({ keys: 1, flagged: expect.stringContaining('may be the disaster itself') });
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });

  it.for(['flushed', 'flushed-unsaved'])('FLUSHALL empties it (%s): the empty dump is flagged', async (instance) => {
    const { redis, around, result } = await inMidSave(instance);
    await withLive(redis, async (live) => {
      await live.flushall();
      await live.config('SET', 'rdb-key-save-delay', 0);
    });
    const { backup } = await result();
    expect(backup).toMatchObject({ keys: 0, flagged: expect.stringContaining('the dataset is empty') });
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });

  it('a job queue swings between hundreds and thousands of keys: what was saved is verified', async () => {
    const { redis, around, result } = await inMidSave('queue');
    const load = new AbortController();
    const swinging = swing(redis, load.signal);
    const { backup } = await result();
    load.abort();
    const sizes = await swinging;
    expect(Math.max(...sizes) - Math.min(...sizes)).toBeGreaterThan(1_000);
    expect(backup).toMatchObject({ state: 'verified' });
    await slowSaves(redis, 0);
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });
});

async function withLive<T>(redis: RedisServer, use: (live: Awaited<ReturnType<typeof connectTo>>) => Promise<T>) {
  const live = await connectTo(redis);
  return use(live).finally(() => live.disconnect());
}

/** Of all databases. */
const keysOf = (redis: RedisServer): Promise<number> =>
  withLive(redis, async (live) => {
    const keyspace = await live.info('keyspace');
    return [...keyspace.matchAll(/keys=(\d+)/g)].reduce((sum, [, keys]) => sum + Number(keys), 0);
  });

/** Jobs come by the thousand and go again, until told to end. @returns every DBSIZE that was seen */
function swing(redis: RedisServer, signal: AbortSignal): Promise<number[]> {
  return withLive(redis, async (live) => {
    const sizes: number[] = [];
    for (let wave = 0; !signal.aborted; wave += 1) {
      const jobs = Array.from({ length: 2_000 }, (_, at) => `job:${wave}:${at}`);
      await live.mset(Object.fromEntries(jobs.map((job) => [job, 'x'.repeat(64)])));
      await live.rpush('jobs:waiting', ...jobs);
      sizes.push(await live.dbsize());
      await sleep(50);
      await live.lpop('jobs:waiting', jobs.length);
      await live.del(...jobs);
      sizes.push(await live.dbsize());
      await sleep(50);
    }
    return sizes;
  });
}
