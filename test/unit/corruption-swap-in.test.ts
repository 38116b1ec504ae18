import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { BuiltChoice } from '../../incident/corruption/build-choice.ts';
import { swapIn } from '../../incident/corruption/swap-in.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
const settings = {
  appendonly: false,
  dbfilename: 'dump.rdb',
  appendfilename: 'appendonly.aof',
  appenddirname: 'appendonlydir',
};
const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** A server's folder with a damaged dump, and the one that was built for it. */
async function scene(): Promise<{ dir: string; built: BuiltChoice }> {
  const own = await temporaryFolder('swap-in');
  undo.push(() => own.remove());
  const [dir, from] = [join(own.path, 'server'), join(own.path, 'built')];
  for (const folder of [dir, from]) await mkdir(folder);
  await writeFile(join(dir, 'dump.rdb'), 'damaged');
  await writeFile(join(from, 'dump.rdb'), 'whole');
  const sha256 = createHash('sha256').update('whole').digest('hex');
  const files = [{ path: 'dump.rdb', sizeBytes: 5, sha256 }];
  return { dir, built: { choice: 'salvage', dir: from, files, notes: [] } };
}

test('a server that was started while the new files were copied keeps its own', async () => {
  const { dir, built } = await scene();
  let asked = 0;
  const later = async () => ++asked > 1;
  await expect(swapIn(dir, built, settings, 'one', later, io)).rejects.toMatchObject({
    code: 'RESTORE_SERVER_RUNNING',
  });
  expect(await readdir(dir)).toEqual(['dump.rdb']);
  expect(await readFile(join(dir, 'dump.rdb'), 'utf8')).toBe('damaged');
  const { aside } = await swapIn(dir, built, settings, 'one', async () => false, io);
  expect(await readFile(join(dir, 'dump.rdb'), 'utf8')).toBe('whole');
  expect(await readFile(join(aside, 'dump.rdb'), 'utf8')).toBe('damaged');
});

test('a swap that cannot be made leaves nothing in the folder of the server', async () => {
  const { dir, built } = await scene();
  await writeFile(join(built.dir, 'dump.rdb'), 'another');
  await expect(swapIn(dir, built, settings, 'one', async () => false, io)).rejects.toMatchObject({
    code: 'RESTORE_DUMP_DIFFERS',
  });
  expect(await readdir(dir)).toEqual(['dump.rdb']);
});

test('a swap whose agent was killed at its very end leaves nothing but the new files and the old ones', async () => {
  const { dir, built } = await scene();
  await swapIn(dir, built, settings, 'one', async () => false, io);
  await mkdir(join(dir, '.rewind-incoming-one'));
  await swapIn(dir, built, settings, 'one', async () => false, io);
  expect((await readdir(dir)).sort()).toEqual(['dump.rdb', 'rewind-aside-one']);
});
