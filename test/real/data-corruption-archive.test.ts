import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { connectRedis } from '../../redis/connection.ts';
import type { Repository } from '../../repository/repository.ts';
import { latestDigest, readArchive } from '../support/archive.ts';
import { dataDigest } from '../support/data-digest.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type FollowedOnS3, startFollowedOnS3 } from '../support/followed-on-s3.ts';
import { untilStep } from '../support/run-steps.ts';
import type { S3Deployment } from '../support/s3-deployment.ts';
import type { RedisServer } from '../support/servers.ts';

/** However busy the machine is. */
const timeout = 600_000;
const patienceMs = 240_000;

describe('the append-only file of a Redis that is followed into S3 has rotted', () => {
  let scene: FollowedOnS3;
  let redis: RedisServer;
  let on: S3Deployment;
  let repository: Repository;
  beforeAll(async () => {
    scene = await startFollowedOnS3();
    ({ redis, on, repository } = scene);
  }, timeout);
  afterAll(() => scene?.stop(), timeout);

  async function damage(path: string): Promise<void> {
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(64), 0, 64, (await file.stat()).size >> 1);
    await file.close();
  }

  const partNames = async (kind: 'base' | 'incr') => {
    const folder = join(redis.dir, 'appendonlydir');
    const manifest = await readFile(join(folder, 'appendonly.aof.manifest'), 'utf8');
    return [...manifest.matchAll(/^file (\S+) seq \d+ type (.)/gm)]
      .filter(([, , type]) => type === kind[0])
      .map(([, name]) => join(folder, name as string));
  };

  const start = (id: string) =>
    on.deployment.client.workflow.start('recoverDataCorruption', {
      taskQueue: 'rewind',
      workflowId: id,
      args: [{ instance: 'orders' }],
    });

  it('and the archive gives back all of it, which the gate says first', { timeout }, async () => {
    const digest = await scene.write('before the first damage');
    await redis.kill9();
    await damage((await partNames('incr')).at(-1) as string);
    const run = await start('data-corruption/orders');
    const waiting = await untilAsked(run, undefined, patienceMs);
    expect(waiting.gate?.choices[0]).toMatchObject({ id: 'archive', loses: 'nothing' });
    expect(waiting.gate?.default).toBe('archive');
    await approve(run, waiting, 'archive');
    expect(await run.result()).toMatchObject({ kind: 'data-corruption', recovered: true });
    expect(await dataDigest(redis)).toBe(digest);
  });

  it('again in its base, with the agent killed while it builds; the archive goes on after both', {
    timeout,
  }, async () => {
    const live = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` });
    const before = (await readArchive(repository)).bases.length;
    await live.bgrewriteaof();
    await expect
      .poll(async () => (await readArchive(repository)).bases.length, { timeout: patienceMs, interval: 1_000 })
      .toBeGreaterThan(before);
    const digest = await scene.write('before the second damage');
    await live.call('SHUTDOWN', 'NOSAVE').catch(() => undefined);
    live.disconnect();
    await damage((await partNames('base'))[0] as string);
    const run = await start('data-corruption/orders-again');
    const waiting = await untilAsked(run, undefined, patienceMs);
    expect(waiting.gate?.choices[0]).toMatchObject({ id: 'archive', loses: 'nothing' });
    await approve(run, waiting, 'archive');
    await untilStep(on.deployment.client, run, 'buildChoice');
    await on.deployment.kill9('host');
    await on.deployment.start('host');
    expect(await run.result()).toMatchObject({ recovered: true });
    expect(await dataDigest(redis)).toBe(digest);

    const now = await scene.write('after both');
    expect(await latestDigest({ repository } as InstanceContext)).toBe(now);
    const { timelines } = await readArchive(repository);
    expect(timelines.slice(1).map(({ why }) => why)).toEqual(timelines.slice(1).map(() => 'restore'));
  });
});
