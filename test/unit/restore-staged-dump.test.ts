import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openRepository } from '../../repository/open.ts';
import { stageDump } from '../../restore/staged-dump.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('a staged dump is fetched once, read once, and fetched anew when its bytes are not what they were', async () => {
  await using folder = await temporaryFolder('staged');
  const repository = await openRepository({ url: `file://${join(folder.path, 'repository')}` });
  const bytes = randomBytes(300_000);
  await repository.putSmall('a/dump.rdb', bytes);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const point = { id: 'a', dumpKey: 'a/dump.rdb', sizeBytes: bytes.length, sha256 };
  const home = join(folder.path, 'restore');
  const phases = new Set<string | undefined>();
  const stage = () => {
    phases.clear();
    const io = { signal: new AbortController().signal, onProgress: (at: { phase?: string }) => phases.add(at.phase) };
    return stageDump(repository, home, point, io);
  };

  const path = await stage();
  expect(await readFile(path)).toEqual(bytes);
  await stage();
  expect([...phases], 'neither fetched nor read').toEqual([]);

  // Times that somebody set say nothing of the bytes: they are read.
  await utimes(path, 1, 1);
  await stage();
  expect([...phases]).toEqual(['compare']);

  await writeFile(path, Buffer.from(bytes).fill(0, 1000, 1001));
  await stage();
  expect(await readFile(path), 'altered bytes are never taken').toEqual(bytes);
  expect([...phases]).toContain('download');
  expect((await readdir(home)).filter((name) => name.endsWith('.part'))).toEqual([]);
});
