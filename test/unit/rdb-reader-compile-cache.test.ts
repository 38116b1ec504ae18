import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { inspectRdb } from '../../rdb/inspect.ts';
import { RdbFile, text } from '../support/rdb-file.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

afterEach(() => vi.unstubAllEnvs());

test('the reader leaves its code compiled for the next one, although it is ended as soon as it has its result', async () => {
  await using folder = await temporaryFolder('compile-cache');
  const cache = join(folder.path, 'cache');
  vi.stubEnv('NODE_COMPILE_CACHE', cache);
  const path = join(folder.path, 'dump.rdb');
  await writeFile(path, new RdbFile(11).selectDb(0).raw([0], text('key'), text('value')).end());
  expect(await inspectRdb({ path })).toMatchObject({ keys: 1 });
  const [version = ''] = await readdir(cache);
  const compiled = await readdir(join(cache, version));
  expect(compiled.length).toBeGreaterThan(10);
  // Nothing more to compile: the second one adds nothing.
  await inspectRdb({ path });
  expect(await readdir(join(cache, version))).toEqual(compiled);
});
