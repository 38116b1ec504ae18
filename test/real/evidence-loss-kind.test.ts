import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { callsSince, readCommandCounts } from '../../incident/evidence/command-counts.ts';
import { findLossKind, type LossKind } from '../../incident/evidence/loss-kind.ts';
import { ReplicaSet } from '../support/replication.ts';
import { type Flavour, missingFlavour } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const set = new ReplicaSet();
const io = { signal: new AbortController().signal };

afterEach(() => set.stop());

/** Two databases, three families of keys; the dump is what a backup would hold. */
async function scene(flavour: Flavour): Promise<{ redis: Redis; loss: () => Promise<LossKind> }> {
  const { redis, server } = await set.start({ flavour });
  const fill = redis.pipeline();
  for (let i = 0; i < 400; i += 1)
    fill.set(`session:eu:${i}`, 'v').set(`config:${i}`, 'v').set(`cart:${i}`, 'v', 'PX', 1);
  fill.select(5);
  for (let i = 0; i < 150; i += 1) fill.set(`job:${i}`, 'v');
  fill.select(0);
  await fill.exec();
  await redis.save();
  const folder = await temporaryFolder('loss');
  set.later(() => folder.remove());
  const dump = join(folder.path, 'backup.rdb');
  await copyFile(join(server.dir, 'dump.rdb'), dump);
  const earlier = await readCommandCounts(redis);
  return {
    redis,
    loss: async () => findLossKind(redis, { path: dump }, callsSince(await readCommandCounts(redis), earlier), io),
  };
}

describe.each<Flavour>(['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'])('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'FLUSHALL is told from FLUSHDB, also while applications write again',
    async () => {
      const all = await scene(flavour);
      await all.redis.flushall();
      await all.redis.mset('session:eu:1', 'again', 'new:1', 'v');
      expect(await all.loss()).toMatchObject({ kind: 'flushall', databases: [0, 5], selection: {} });

      const one = await scene(flavour);
      await one.redis.select(5);
      await one.redis.flushdb();
      await one.redis.select(0);
      const loss = await one.loss();
      expect(loss).toMatchObject({ kind: 'flushdb', databases: [5], selection: { db: 5 } });
      expect(loss.byDatabase.find(({ db }) => db === 0)).toMatchObject({ keysInBackup: 800, missing: 0 });
      expect(loss.sentences[0]).toContain('Database 5 is emptied');
    },
  );

  test.skipIf(missingFlavour(flavour))('SWAPDB has lost nothing and is undone by another one', async () => {
    const { redis, loss } = await scene(flavour);
    await redis.swapdb(0, 5);
    expect(await loss()).toMatchObject({ kind: 'swapdb', swapped: [0, 5], databases: [0, 5] });
    await redis.swapdb(0, 5);
    expect(await loss()).toMatchObject({ kind: 'not-a-loss' });
    // With a database that was empty.
    await redis.swapdb(5, 9);
    const moved = await loss();
    expect(moved).toMatchObject({ kind: 'swapdb', swapped: [5, 9] });
    expect(moved.sentences[0]).toContain('SWAPDB 5 9');
  });

  test.skipIf(missingFlavour(flavour))('a mass delete is known by what the missing keys begin with', async () => {
    const { redis, loss } = await scene(flavour);
    const gone = redis.pipeline();
    for (let i = 0; i < 400; i += 1) gone.del(`session:eu:${i}`);
    await gone.exec();
    const found = await loss();
    expect(found).toMatchObject({ kind: 'mass-delete', databases: [0], selection: { db: 0, match: 'session:*' } });
    expect(found.patterns).toHaveLength(1);
    expect(found.patterns[0]).toMatchObject({ sampled: found.patterns[0]?.missing });
    expect(JSON.stringify(found)).not.toMatch(/session:eu:\d/);
  });
});

test('an ordinary day, with keys that expired and a few that were deleted, is no loss', async () => {
  const { redis, loss } = await scene('redis-7.0');
  await redis.del('config:1', 'config:2', 'config:3');
  const found = await loss();
  expect(found).toMatchObject({ kind: 'not-a-loss', databases: [], selection: {} });
  expect(found.unknown.join()).toContain('whether values were changed');
});

test('a flushed database whose keys are called like those of another one is not taken for exchanged', async () => {
  const { redis, server } = await set.start();
  const tenants = redis.pipeline();
  for (const db of [0, 1]) {
    tenants.select(db);
    for (let i = 0; i < 50; i += 1) tenants.set(`user:${i}`, `of ${db}`);
  }
  await tenants.exec();
  await redis.select(0);
  await redis.save();
  const dump = { path: join(server.dir, 'dump.rdb') };
  const earlier = await readCommandCounts(redis);
  await redis.select(1);
  await redis.flushdb();
  expect(await findLossKind(redis, dump, undefined, io)).toMatchObject({ kind: 'flushdb', databases: [1] });
  // A copy that somebody made meanwhile is no exchange either, as the counters know.
  await redis.select(0);
  for (const key of await redis.keys('*')) await redis.call('COPY', key, key, 'DB', '7');
  const since = callsSince(await readCommandCounts(redis), earlier);
  expect(await findLossKind(redis, dump, since, io)).toMatchObject({ kind: 'flushdb', databases: [1] });
});

test('keys that have no beginning in common are a mass delete of a whole database', async () => {
  const { redis, server } = await set.start();
  const fill = redis.pipeline();
  for (let i = 0; i < 300; i += 1) fill.set(`${(i * 7919) % 1_000}x${i}`, 'v');
  await fill.exec();
  await redis.save();
  const names = (await redis.keys('*')).sort();
  await redis.del(...names.slice(0, 150));
  const found = await findLossKind(redis, { path: join(server.dir, 'dump.rdb') }, undefined, io);
  expect(found).toMatchObject({ kind: 'mass-delete', selection: { db: 0 }, patterns: [] });
  expect(found.selection.match).toBeUndefined();
});

test('an instance whose keys were all in one database asks the counters which flush it was', async () => {
  const { redis, server } = await set.start();
  await redis.mset('a', 'v', 'b', 'v');
  await redis.save();
  const dump = { path: join(server.dir, 'dump.rdb') };
  const earlier = await readCommandCounts(redis);
  await redis.flushdb();
  const since = callsSince(await readCommandCounts(redis), earlier);
  expect(await findLossKind(redis, dump, since, io)).toMatchObject({ kind: 'flushdb', databases: [0] });
  expect(await findLossKind(redis, dump, undefined, io)).toMatchObject({ kind: 'flushall' });
});
