import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { asOwnChange, ownChangeAt, ownChangeSince, removeOwnChanges } from '../../archive/loss/own-change.ts';
import type { InstancePolicy } from '../../policy/instance-policy.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { until } from '../support/archive.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const instance = 'orders';
const policy = { instance, archive: {} } as unknown as InstancePolicy;
const minute = 60_000;

let folder: TemporaryFolder;
let repository: Repository;
beforeEach(async () => {
  folder = await temporaryFolder('own-change');
  repository = await openRepository({ url: pathToFileURL(join(folder.path, 'store')).href, pathStyle: false });
});
afterEach(() => folder?.remove());

async function notes(): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of repository.list(`aof/${instance}/changes/`)) found.push(key);
  return found;
}

test('a change that goes on says so again and again, and ends', async () => {
  await asOwnChange(
    { repository, policy },
    'restore',
    async () => {
      await until('it is said again', async () => (await notes()).length > 2);
      expect(await ownChangeAt(repository, instance, Date.now())).toBe('restore');
    },
    5,
  );
  expect((await notes()).at(-1)).toMatch(/\.(ended|begun)$/);
  expect(await ownChangeAt(repository, instance, Date.now() + minute)).toBeUndefined();
});

test('one whose owner was killed hides a loss for a quarter of an hour, and no longer', async () => {
  const begunMs = Date.parse('2026-01-01T00:00:00Z');
  const id = '00000000-0000-4000-8000-000000000000';
  for (const atMs of [begunMs, begunMs + 5 * minute]) {
    await repository.putSmall(`aof/${instance}/changes/${atMs}-restore-${id}.begun`, Buffer.from('{}\n'));
  }
  expect(await ownChangeAt(repository, instance, begunMs + 20 * minute)).toBe('restore');
  expect(await ownChangeAt(repository, instance, begunMs + 21 * minute)).toBeUndefined();
  expect(await ownChangeSince(repository, instance, begunMs + 20 * minute)).toBe('restore');
});

test('notes of what was over before a moment are removed, and no others', async () => {
  await asOwnChange({ repository, policy }, 'undo', async () => undefined);
  expect(await removeOwnChanges(repository, instance, Date.now())).toBe(0);
  expect(await ownChangeSince(repository, instance, Date.now() - minute)).toBe('undo');
  expect(await removeOwnChanges(repository, instance, Date.now() + minute)).toBe(1);
  expect(await notes()).toEqual([]);
});
