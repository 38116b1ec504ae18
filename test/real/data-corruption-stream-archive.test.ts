import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { readArchive } from '../support/archive.ts';
import { dataDigest } from '../support/data-digest.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type FollowedOnS3, startFollowedOnS3 } from '../support/followed-on-s3.ts';

/** However busy the machine is. */
const timeout = 600_000;
const patienceMs = 240_000;

let scene: FollowedOnS3;
beforeAll(async () => {
  scene = await startFollowedOnS3('replication');
}, timeout);
afterAll(() => scene?.stop(), timeout);

test('the dump of a Redis that is archived by replication has rotted: the archive gives back what came after that dump, too', {
  timeout,
}, async () => {
  const { redis, on, repository } = scene;
  await expect
    .poll(async () => (await readArchive(repository)).bases.length, { timeout: patienceMs, interval: 500 })
    .toBe(1);
  const live = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` });
  await live.save();
  live.disconnect();
  const digest = await scene.write('after the dump');
  await redis.kill9();
  const dump = await open(join(redis.dir, 'dump.rdb'), 'r+');
  // Half of it: bytes that differ may lie within a value, which only the checksum tells.
  await dump.truncate((await dump.stat()).size >> 1);
  await dump.close();

  const run = await on.deployment.client.workflow.start('recoverDataCorruption', {
    taskQueue: 'rewind',
    workflowId: 'data-corruption/orders',
    args: [{ instance: 'orders' }],
  });
  const waiting = await untilAsked(run, undefined, patienceMs);
  expect(waiting.gate?.summary).toMatch(/dump\.rdb.* is damaged/);
  expect(waiting.gate?.default).toBe('archive');
  await approve(run, waiting, 'archive');
  expect(await run.result()).toMatchObject({ kind: 'data-corruption', recovered: true });
  expect(await dataDigest(redis)).toBe(digest);
});
