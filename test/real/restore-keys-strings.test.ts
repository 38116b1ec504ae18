import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { TogetherTally } from '../../restore/keys/together-tally.ts';
import { digestOf, PutKeysStage, put, type Side } from '../support/put-keys.ts';

const stage = new PutKeysStage();
afterEach(() => stage.end());

/** Strings in every form that a dump has, those at the limit of what goes together, and other types between them. */
async function source(): Promise<Side & { dump: string; keys: number }> {
  const side = await stage.side('redis-7.0');
  const pipeline = side.redis.pipeline();
  for (let i = 0; i < 700; i++) {
    pipeline.set(`plain:${i}`, `v${i}`);
    pipeline.set(`number:${i}`, (i - 350) * 10 ** (i % 9));
    if (i % 3 === 0) pipeline.rpush(`list:${i}`, i);
    if (i % 5 === 0) pipeline.set(`expires:${i}`, i, 'PX', 10_000_000);
  }
  for (const [i, length] of [0, 1, 63, 64, 4095, 4096, 4097, 16_383, 16_384, 70_000, 200_000].entries()) {
    pipeline.set(`compressed:${i}`, 'ab'.repeat(length / 2));
    pipeline.set(`random:${i}`, Buffer.from(Array.from({ length }, (_, at) => (at * 7919 + (at >> 3) * 31) & 0xff)));
  }
  pipeline.set(Buffer.from('\r\n$0\r\n\0'), Buffer.from('\r\n*1\r\n\0'));
  pipeline.set('', '');
  await pipeline.exec();
  await side.redis.save();
  return { ...side, dump: join(side.server.dir, 'dump.rdb'), keys: await side.redis.dbsize() };
}

const calls = async ({ redis }: Side, command: string): Promise<number> =>
  Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(await redis.info('commandstats'))?.[1] ?? 0);

test('strings without an expiry go many to a command, the others as a RESTORE each, and all arrive as they were', async () => {
  const from = await source();
  const target = await stage.side('redis-7.0');
  expect(await put(await stage.task(from.dump, target))).toMatchObject({ restored: from.keys, kept: 0, replaced: 0 });
  expect(await digestOf(target)).toBe(await digestOf(from));
  expect(await calls(target, 'msetnx')).toBeGreaterThan(1400 / 64);
  expect(await calls(target, 'msetnx')).toBeLessThan(100);
  // Lists, what expires, what is too long, and the one that tries whether it may.
  expect(await calls(target, 'restore')).toBeLessThan(234 + 140 + 20);
});

test.each(['keep-live', 'take-backup'] as const)(
  'a live key keeps none of those sent with it from being put: %s',
  async (onConflict) => {
    const from = await source();
    const target = await stage.side('redis-7.0');
    await target.redis.mset('plain:7', 'live', 'number:300', 'live');
    await target.redis.rpush('plain:400', 'live');
    const task = await stage.task(from.dump, target, { onConflict });
    const kept = onConflict === 'keep-live' ? 3 : 0;
    expect(await put(task)).toMatchObject({ restored: from.keys - 3, kept, replaced: 3 - kept });
    const listed = (await readFile(task.namesFile, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).key);
    expect(listed.sort()).toEqual(['number:300', 'plain:400', 'plain:7']);
    if (onConflict === 'keep-live') {
      expect(await target.redis.mget('plain:7', 'number:300')).toEqual(['live', 'live']);
      expect(await target.redis.lrange('plain:400', 0, -1)).toEqual(['live']);
      await target.redis.del(...listed);
      await put(await stage.task(from.dump, target));
    }
    expect(await digestOf(target)).toBe(await digestOf(from));
  },
);

test('a user who may not run MSETNX restores all the same', async () => {
  const from = await source();
  const target = await stage.side('redis-7.0');
  await target.redis.call('ACL', 'SETUSER', 'careful', 'on', '>pass', '~*', '+@all', '-msetnx', '-set');
  const task = await stage.task(from.dump, target);
  const url = `redis://careful@127.0.0.1:${target.server.port}`;
  expect(await put({ ...task, target: { url, password: 'pass' } })).toMatchObject({ restored: from.keys, kept: 0 });
  expect(await digestOf(target)).toBe(await digestOf(from));
});

test('where most keys are live already they are no longer put together', async () => {
  const tally = new TogetherTally();
  tally.add(0, 7);
  expect(tally.worthIt).toBe(true);
  tally.add(0, 1);
  expect(tally.worthIt).toBe(false);
  tally.add(33, 0);
  expect(tally.worthIt).toBe(true);
});
