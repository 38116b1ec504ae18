import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadConfig } from '../../config/load.ts';
import { resolveSecret } from '../../config/secrets.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await temporaryFolder('secrets');
});
afterEach(() => folder.remove());

/** The reference as it comes out of a configuration, so that its place is the real one. */
async function reference(ref: string) {
  await writeFile(
    join(folder.path, 'rewind.yaml'),
    `instances:\n  orders:\n    url: redis://h\n    password: ${ref}\n`,
  );
  const config = await loadConfig({ env: {}, cwd: folder.path });
  return config.instances.orders!.password!;
}

test('comes from the environment', async () => {
  expect(await resolveSecret(await reference('{ env: ORDERS }'), { ORDERS: ' s3cr3t ' })).toBe(' s3cr3t ');
});

test.each([
  ['s3cr3t', 's3cr3t'],
  ['s3cr3t\n', 's3cr3t'],
  ['s3cr3t\r\n', 's3cr3t'],
  [' s3cr3t \n\n', ' s3cr3t \n'],
])('comes from a file without the newline at its end: %j', async (content, expected) => {
  await writeFile(join(folder.path, 'secret'), content);
  expect(await resolveSecret(await reference('{ file: secret }'), {})).toBe(expected);
});

test.each([
  ['is not set', {}],
  ['is empty', { ORDERS: '' }],
])('a variable that %s is told with the line that names it', async (why, env) => {
  await expect(resolveSecret(await reference('{ env: ORDERS }'), env)).rejects.toMatchObject({
    code: 'SECRET_MISSING',
    message: `rewind.yaml:4:15: instances.orders.password: the environment variable ORDERS ${why}`,
  });
});

test('a file that is not there, is empty, or is a folder is told with the line that names it', async () => {
  const ref = await reference('{ file: secret }');
  const path = join(folder.path, 'secret');
  const missing = (why: string) => ({
    code: 'SECRET_MISSING',
    message: `rewind.yaml:4:15: instances.orders.password: the file ${path} ${why}`,
  });
  await expect(resolveSecret(ref, {})).rejects.toMatchObject(missing('does not exist'));
  await writeFile(path, '\n');
  await expect(resolveSecret(ref, {})).rejects.toMatchObject(missing('is empty'));
  await folder.remove();
  await mkdir(path, { recursive: true });
  await expect(resolveSecret(ref, {})).rejects.toMatchObject(missing('is a folder'));
});

test.skipIf(process.getuid?.() === 0)('a file that this user may not read is told as such', async () => {
  const ref = await reference('{ file: secret }');
  await writeFile(join(folder.path, 'secret'), 's3cr3t');
  await chmod(join(folder.path, 'secret'), 0o000);
  await expect(resolveSecret(ref, {})).rejects.toThrow('may not be read by this user');
});

test('a missing secret does not stop the loading: another role may be the one that has it', async () => {
  const ref = await reference('{ env: ONLY_ON_THE_HOST }');
  expect(ref).toEqual({ env: 'ONLY_ON_THE_HOST', at: 'rewind.yaml:4:15: instances.orders.password' });
});
