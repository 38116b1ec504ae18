import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { PutKeysCursor } from '../../restore/keys/put-keys.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { digestOf, PutKeysStage, put, puttersOf } from '../support/put-keys.ts';
import { type Flavour, missingFlavour } from '../support/servers.ts';

const stage = new PutKeysStage();
afterEach(() => stage.end());

/** To an older server, and to the other fork. */
const pairs: [Flavour, Flavour][] = [
  ['redis-8.2', 'redis-6.2'],
  ['redis-8.2', 'valkey-9'],
  ['valkey-9', 'redis-8.2'],
  ['redis-7.0', 'redis-6.2'],
];

describe.each(pairs)('from %s to %s', (from, to) => {
  const missing = missingFlavour(from) ?? missingFlavour(to);

  test.skipIf(missing)(
    'said in commands everything arrives; live keys are kept or replaced, counted and listed; no name of ours stays',
    async () => {
      const source = await stage.source(from, 1200, 51);
      // What DEBUG DIGEST makes of the same data differs by version: the same set, made there.
      const same = await stage.source(to, 1200, 51);
      const empty = await stage.side(to);
      expect(await put(await stage.task(source.dump, empty, { by: 'commands' }))).toMatchObject({
        restored: 1275,
        byDatabase: { 0: 1200, 5: 72, 9: 3 },
      });
      expect(await digestOf(empty)).toBe(await digestOf(same));
      for (const onConflict of ['keep-live', 'take-backup'] as const) {
        const target = await stage.side(to);
        await fillServer(target.server.port, { keys: 300, seed: 66 });
        const liveOnly = await digestOf(target);
        const live = await target.redis.keys('*');
        const known = new Set(await source.redis.keys('*'));
        const conflicts = live.filter((key) => known.has(key));
        const task = await stage.task(source.dump, target, { by: 'commands', onConflict });
        const outcome = onConflict === 'keep-live' ? 'kept' : 'replaced';
        expect(await put(task)).toMatchObject({ restored: 1275 - conflicts.length, [outcome]: conflicts.length });
        const lines = (await readFile(task.namesFile, 'utf8'))
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
        expect(new Set(lines.map(({ key }) => key))).toEqual(new Set(conflicts));
        expect(lines.every((line) => line.outcome === outcome)).toBe(true);
        expect(await target.redis.dbsize()).toBe(1200 + live.length - conflicts.length);
        // Without what came from the other side, each is as it was.
        if (onConflict === 'take-backup') {
          for (const key of live) if (!known.has(key)) await target.redis.unlink(key);
          expect(await digestOf(target)).toBe(await digestOf(same));
        } else {
          for (const key of known) if (!live.includes(key)) await target.redis.unlink(key);
          for (const db of [5, 9]) {
            await target.redis.select(db);
            await target.redis.flushdb();
          }
          expect(await digestOf(target)).toBe(liveOnly);
        }
      }
    },
    120_000,
  );
});

test('killed -9 on the way and called again, commands end as they would have; half a key is never seen under its name', async () => {
  const source = await stage.source('redis-8.2', 3000, 52);
  const target = await stage.side('redis-6.2');
  await fillServer(target.server.port, { keys: 300, seed: 66 });
  const task = await stage.task(source.dump, target, {
    by: 'commands',
    onConflict: 'take-backup',
    limits: { keysPerSecond: 3000 },
  });
  const conflicts = (await target.redis.keys('*')).length;
  let killing: Promise<void> | undefined;
  let last: PutKeysCursor | undefined;
  const failure = await put(task, {
    onCursor: (cursor) => {
      last = cursor;
      if (cursor.figures.restored < 1000) return;
      killing ??= puttersOf(process.pid).then((pids) => {
        for (const pid of pids) process.kill(pid, 'SIGKILL');
      });
    },
  }).catch((error) => error);
  await killing;
  expect(failure.code).toBe('RESTORE_KEYS_PROCESS_DIED');
  const figures = await put({ ...task, limits: {} }, { resumeFrom: last });
  const live = await target.redis.keys('*');
  const known = new Set(await source.redis.keys('*'));
  expect(live.filter((key) => key.startsWith('redis-rewind'))).toEqual([]);
  expect(figures.restored + figures.replaced).toBe(3075);
  expect(conflicts).toBeGreaterThan(0);
  for (const key of live) if (!known.has(key)) await target.redis.unlink(key);
  expect(await digestOf(target)).toBe(await digestOf(await stage.source('redis-6.2', 3000, 52)));
}, 120_000);

test('what a restore left that was killed and never gone on with, the next one takes away, and nothing of anybody else', async () => {
  const source = await stage.source('redis-7.0', 50, 53);
  const target = await stage.side('redis-6.2');
  const own = ['redis-rewind:restoring:', 'redis-rewind:restoring:soon', 'x:redis-rewind:restoring:5'];
  for (const db of [0, 3]) {
    await target.redis.select(db);
    await target.redis.rpush('redis-rewind:restoring:4711', 'half', 'a list');
    for (const key of own) await target.redis.set(key, 'of an application');
  }
  await put(await stage.task(source.dump, target, { by: 'commands' }));
  for (const db of [0, 3]) {
    await target.redis.select(db);
    expect((await target.redis.keys('*restoring:*')).sort()).toEqual([...own].sort());
  }
});

test('cancelled inside of a long key, it takes what it has begun with it', async () => {
  const source = await stage.side('redis-7.0');
  for (let i = 0; i < 40; i++) await source.redis.rpush('long', ...Array.from({ length: 2000 }, (_, n) => `${i}:${n}`));
  await source.redis.save();
  const target = await stage.side('redis-6.2');
  const cancel = new AbortController();
  const task = await stage.task(join(source.server.dir, 'dump.rdb'), target, { by: 'commands' });
  const putting = put(task, { signal: cancel.signal }).catch((error) => error);
  // Seen or not (it may be done before): in the end no name of ours is there.
  for (let seen = 0; seen === 0 && (await target.redis.exists('long')) === 0; ) {
    seen = (await target.redis.keys('redis-rewind:*')).length;
  }
  cancel.abort();
  await putting;
  expect(await target.redis.keys('redis-rewind:*')).toEqual([]);
}, 60_000);
