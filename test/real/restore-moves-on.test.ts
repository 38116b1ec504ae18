import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { openRepository } from '../../repository/open.ts';
import type { PutKeysCursor } from '../../restore/keys/cursor.ts';
import { StoredProgress } from '../../restore/stored-progress.ts';
import { digestOf, PutKeysStage, put } from '../support/put-keys.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const stage = new PutKeysStage();
afterEach(() => stage.end());

const subject = { instance: 'orders', policyDigest: '', restoreId: 'r1' };
const keys = 3000;

test.each(['keep-live', 'take-backup'] as const)(
  '%s: the agent’s machine is lost in mid-restore: another one goes on from what the repository has, to the same end',
  async (onConflict) => {
    await using folder = await temporaryFolder('moves-on');
    const repository = await openRepository({ url: `file://${join(folder.path, 'repository')}` });
    const source = await stage.source('redis-7.0', keys, 51);
    const [target, other] = [await stage.side('redis-7.0'), await stage.side('redis-7.0')];
    for (const { redis } of [target, other]) {
      for (let i = 0; i < 600; i++) await redis.set(`str:${i}`, 'live');
    }
    const undisturbed = await put(await stage.task(source.dump, other, { onConflict }));
    expect(undisturbed[onConflict === 'keep-live' ? 'kept' : 'replaced']).toBeGreaterThan(100);

    const nameOn = async (machine: string) => {
      await mkdir(join(folder.path, machine));
      return join(folder.path, machine, 'conflicts.jsonl');
    };
    const task = await stage.task(source.dump, target, { onConflict, limits: { keysPerSecond: 1500 } });
    const first = await nameOn('first');
    const { progress } = await StoredProgress.takeUp(repository, subject, first, 0);
    const lost = new AbortController();
    let noted = 0;
    await put(
      { ...task, namesFile: first },
      {
        signal: lost.signal,
        onCursor: (cursor) => {
          progress.note(cursor);
          if (cursor.offset > 0 && ++noted > 3) lost.abort();
        },
      },
    ).catch((error) => expect(error.code).toBe('RESTORE_KEYS_CANCELLED'));
    await progress.settle();

    const second = await nameOn('second');
    const taken = await StoredProgress.takeUp(repository, subject, second, 0);
    expect(taken.cursor).toMatchObject({ sentUpTo: taken.cursor!.dumpBytes });
    expect(taken.cursor!.offset, 'not from the beginning').toBeGreaterThan(9);
    const figures = await put(
      { ...task, namesFile: second, limits: {} },
      { resumeFrom: taken.cursor as PutKeysCursor },
    );
    if (onConflict === 'keep-live') expect(figures).toEqual(undisturbed);
    // Which of the keys behind that place were replaced only the lost machine knew: they count as put.
    else expect(figures.restored + figures.replaced).toBe(undisturbed.restored + undisturbed.replaced);
    expect(await digestOf(target)).toBe(await digestOf(other));
    await taken.progress.remove();
    expect(await Array.fromAsync(repository.list('restores/'))).toEqual([]);
  },
  120_000,
);

test('that it was begun is known before a key is put: what an unknown attempt put counts as put, not as kept', async () => {
  await using folder = await temporaryFolder('moves-on');
  const repository = await openRepository({ url: `file://${join(folder.path, 'repository')}` });
  const source = await stage.source('redis-7.0', 300, 52);
  const target = await stage.side('redis-7.0');
  const task = await stage.task(source.dump, target);
  await StoredProgress.takeUp(repository, subject, join(folder.path, 'first.jsonl'));
  const undisturbed = await put({ ...task, namesFile: join(folder.path, 'first.jsonl') });
  const second = join(folder.path, 'second.jsonl');
  const { cursor } = await StoredProgress.takeUp(repository, subject, second);
  expect(cursor).toBeUndefined();
  expect(await put({ ...task, namesFile: second })).toEqual(undisturbed);
}, 120_000);
