import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { noteAsked, readAsked } from '../../backup/asked-save.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('what Redis was asked for is found by the same save only, and the next one takes its place', async () => {
  await using folder = await temporaryFolder('asked');
  const asked = (save: string, instance = 'orders') => ({ home: folder.path, instance, save });
  expect(await readAsked(asked('one bgsave'))).toBeUndefined();
  await noteAsked(asked('one bgsave'), 1_760_000_000);
  await noteAsked(asked('another', 'sessions'), 7);
  expect(await readAsked(asked('one bgsave'))).toBe(1_760_000_000);
  expect(await readAsked(asked('one bgsave-2'))).toBeUndefined();
  await noteAsked(asked('one bgsave-2'), 1_760_000_009);
  expect(await readAsked(asked('one bgsave'))).toBeUndefined();
});

test('a note that cannot be read is none: Redis is asked once more', async () => {
  await using folder = await temporaryFolder('asked');
  await mkdir(join(folder.path, 'saves'));
  await writeFile(join(folder.path, 'saves', 'orders.json'), '{"save":"one bgs');
  expect(await readAsked({ home: folder.path, instance: 'orders', save: 'one bgsave' })).toBeUndefined();
});
