import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { open, readdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const MIB = 1024 * 1024;
const dump = 'hourly/orders/20261123T205000Z-1f3a9c04/dump.rdb';

let folder: TemporaryFolder;
let root: string;
let repository: Repository;

beforeEach(async () => {
  folder = await temporaryFolder('repository');
  root = join(folder.path, 'repository');
  repository = await openRepository({ url: pathToFileURL(root).href });
});
afterEach(() => folder.remove());

test('a file is stored whole, read back, and in parts of it', async () => {
  const { path, bytes } = await someFile(9 * MIB + 17);
  const progress: number[] = [];
  const stored = await repository.putFile(
    dump,
    { path },
    { sizeBytes: bytes.length, onProgress: (done) => progress.push(done) },
  );
  expect(stored).toEqual({ key: dump, sizeBytes: bytes.length, encryption: { sse: 'none' } });
  expect(progress.at(-1)).toBe(bytes.length);
  expect((await readAll(repository, dump)).equals(bytes)).toBe(true);
  expect((await readAll(repository, dump, { start: 5, end: 11 })).equals(bytes.subarray(5, 11))).toBe(true);
  expect(await namesIn(root)).toEqual(['dump.rdb']);
});

test('an open descriptor is stored from its beginning, wherever it was read to, and stays open', async () => {
  const { path, bytes } = await someFile(100_000);
  await using file = await open(path);
  await file.read(Buffer.alloc(50_000), 0, 50_000, null);
  await repository.putFile(dump, { fd: file.fd }, { sizeBytes: bytes.length });
  expect((await readAll(repository, dump)).equals(bytes)).toBe(true);
  expect((await file.read(Buffer.alloc(50_000), 0, 50_000, null)).buffer.equals(bytes.subarray(50_000))).toBe(true);
});

test('the same upload twice is one object, and other bytes never take its name', async () => {
  const { path, bytes } = await someFile(5 * MIB);
  await repository.putFile(dump, { path }, { sizeBytes: bytes.length });
  await repository.putFile(dump, { path }, { sizeBytes: bytes.length });

  const other = await someFile(5 * MIB);
  await expect(repository.putFile(dump, { path: other.path }, { sizeBytes: other.bytes.length })).rejects.toMatchObject(
    {
      code: 'OBJECT_EXISTS',
    },
  );
  const longer = join(folder.path, 'longer');
  await writeFile(longer, Buffer.concat([bytes, Buffer.from('x')]));
  await expect(repository.putFile(dump, { path: longer }, { sizeBytes: bytes.length + 1 })).rejects.toMatchObject({
    code: 'OBJECT_EXISTS',
  });
  await expect(repository.putSmall(dump, bytes.subarray(0, MIB))).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
  expect((await readAll(repository, dump)).equals(bytes)).toBe(true);
  expect(await namesIn(root)).toEqual(['dump.rdb']);
});

test('of ten who store other bytes under one name at once, one wins and nine are told', async () => {
  const attempts = Array.from({ length: 10 }, (_, index) =>
    repository.putSmall('identity/orders/00000001.json', Buffer.from(`${index}`)),
  );
  const results = await Promise.allSettled(attempts);
  const won = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []));
  expect(won).toHaveLength(1);
  expect(String(await repository.readSmall('identity/orders/00000001.json', 10))).toBe(`${won[0]}`);
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'OBJECT_EXISTS' });
  }
});

test('of ten who store the same bytes under one name at once, all succeed', async () => {
  const attempts = Array.from({ length: 10 }, () => repository.putSmall(dump, Buffer.from('same')));
  await expect(Promise.all(attempts)).resolves.toHaveLength(10);
  expect(await namesIn(root)).toEqual(['dump.rdb']);
});

test.each([
  ['shorter', -1],
  ['longer', 1],
])('a file that has become %s than it was pinned is not stored', async (_, change) => {
  const { path, bytes } = await someFile(MIB);
  await truncate(path, bytes.length + change);
  await expect(repository.putFile(dump, { path }, { sizeBytes: bytes.length })).rejects.toMatchObject({
    code: 'UPLOAD_SOURCE_CHANGED',
  });
  expect(await namesIn(root)).toEqual([]);
});

test('a writer killed -9 in the middle leaves nothing that is listed, and what it left is swept', async () => {
  const writer = await halfWritten();
  writer.kill('SIGKILL');
  await once(writer, 'exit');

  expect(await keys(repository)).toEqual([]);
  expect(await repository.stat(dump)).toBeUndefined();
  expect(await namesIn(root)).toHaveLength(1);
  expect(await repository.sweepUploads('hourly/other/')).toBe(0);
  expect(await repository.sweepUploads('hourly/orders/', new Date(Date.now() - 3_600_000))).toBe(0);
  expect(await repository.sweepUploads('hourly/orders/')).toBe(1);
  expect(await readdir(root)).toEqual([]);

  const { path, bytes } = await someFile(MIB);
  await repository.putFile(dump, { path }, { sizeBytes: bytes.length });
  expect(await keys(repository)).toEqual([dump]);
});

test('what is still being written is not swept as abandoned, however long ago it was begun', async () => {
  const writer = await halfWritten();
  try {
    expect(await repository.sweepUploads('', new Date(Date.now() - 60_000))).toBe(0);
    expect(await namesIn(root)).toHaveLength(1);
  } finally {
    writer.kill('SIGKILL');
    await once(writer, 'exit');
  }
});

test('a cancelled upload ends at once and leaves nothing', async () => {
  const cancel = new AbortController();
  const { path, bytes } = await someFile(20 * MIB);
  const reason = new Error('enough');
  const upload = repository.putFile(
    dump,
    { path },
    {
      sizeBytes: bytes.length,
      signal: cancel.signal,
      bytesPerSecond: MIB,
      onProgress: () => cancel.abort(reason),
    },
  );
  await expect(upload).rejects.toBe(reason);
  expect(await readdir(root)).toEqual([]);
});

test('an upload keeps to its rate', async () => {
  const { path, bytes } = await someFile(12 * MIB);
  const startedAt = performance.now();
  await repository.putFile(dump, { path }, { sizeBytes: bytes.length, bytesPerSecond: 16 * MIB });
  expect(performance.now() - startedAt).toBeGreaterThan(450);
});

test('a stream that breaks is not stored', async () => {
  async function* broken() {
    yield randomBytes(5 * MIB);
    throw new Error('the link to Redis broke');
  }
  await expect(repository.putStream(dump, broken())).rejects.toThrow('the link to Redis broke');
  expect(await readdir(root)).toEqual([]);
});

test('a full disk is said so, and what was half-written is removed', async ({ skip }) => {
  const mount = unsharedMount();
  if (!mount) skip('neither root nor user namespaces: no small file system can be mounted');
  const script = `
    import { randomBytes } from 'node:crypto';
    import { readdirSync, writeFileSync } from 'node:fs';
    const { openRepository } = await import(${JSON.stringify(new URL('../../repository/open.ts', import.meta.url).href)});
    const repository = await openRepository({ url: 'file://' + process.env.SMALL + '/repository' });
    await repository.putSmall('hourly/a', randomBytes(1000));
    async function* tooMuch() { for (let i = 0; i < 20; i += 1) yield randomBytes(1024 * 1024); }
    const error = await repository.putStream('hourly/orders/dump.rdb', tooMuch()).catch((error) => error);
    const left = readdirSync(process.env.SMALL + '/repository', { recursive: true }).sort();
    console.log(JSON.stringify({ code: error.code, message: error.message, left }));`;
  const small = join(folder.path, 'small');
  const { stdout, stderr } = spawnSync(
    mount![0]!,
    [
      ...mount!.slice(1),
      'sh',
      '-c',
      'mkdir "$SMALL" && mount -t tmpfs -o size=8m none "$SMALL" && exec "$0" --input-type=module -e "$1"',
      process.execPath,
      script,
    ],
    { env: { ...process.env, SMALL: small, NODE_NO_WARNINGS: '1' }, encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  const { code, message, left } = JSON.parse(stdout);
  expect(code).toBe('DISK_FULL');
  expect(message).toContain(small);
  expect(left).toEqual(['hourly', 'hourly/a']);
});

test('a folder that cannot be used is said so', async () => {
  await writeFile(root, 'a file where the folder should be');
  await expect(repository.putSmall(dump, Buffer.from('x'))).rejects.toMatchObject({
    code: 'REPOSITORY_FOLDER_REFUSED',
  });
});

test('a move that was killed between its steps is ended by the same call', async () => {
  const from = 'hourly/orders/20261123T205000Z-1f3a9c04/';
  for (const name of ['dump.rdb', 'server.json', 'verifications/x.json'])
    await repository.putSmall(from + name, Buffer.from(name));
  // As a kill leaves it: one moved, one under both names, one not yet.
  await repository.move(`${from}verifications/`, `failed/${from}verifications/`);
  const script = `const { linkSync, mkdirSync } = await import('node:fs'); linkSync(process.argv[1], process.argv[2]);`;
  spawnSync(process.execPath, [
    '--input-type=module',
    '-e',
    script,
    join(root, `${from}dump.rdb`),
    join(root, `failed/${from}dump.rdb`),
  ]);
  expect(await keys(repository)).toHaveLength(4);

  await repository.move(from, `failed/${from}`);
  expect(await keys(repository)).toEqual([
    `failed/${from}dump.rdb`,
    `failed/${from}server.json`,
    `failed/${from}verifications/x.json`,
  ]);
  expect(await readdir(root)).toEqual(['failed']);
});

test('a move never overwrites what is there', async () => {
  await repository.putSmall('hourly/a/x', Buffer.from('one'));
  await repository.putSmall('failed/hourly/a/x', Buffer.from('other'));
  await expect(repository.move('hourly/a/', 'failed/hourly/a/')).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
  expect(String(await repository.readSmall('hourly/a/x', 10))).toBe('one');
  expect(String(await repository.readSmall('failed/hourly/a/x', 10))).toBe('other');
});

test('a dump that was cut, or is gone, is noticed when it is asked for anew', async () => {
  const { path, bytes } = await someFile(MIB);
  const stored = await repository.putFile(dump, { path }, { sizeBytes: bytes.length });
  await expect(repository.verifyStored(dump, stored)).resolves.toEqual(stored);
  await truncate(join(root, dump), MIB - 1);
  await expect(repository.verifyStored(dump, stored)).rejects.toMatchObject({ code: 'OBJECT_DIFFERS' });
  await repository.remove(dump);
  await repository.remove(dump);
  await expect(repository.verifyStored(dump, stored)).rejects.toMatchObject({ code: 'OBJECT_MISSING' });
  await expect(repository.read(dump)).rejects.toMatchObject({ code: 'OBJECT_MISSING' });
});

test('a symbolic link is neither listed nor followed: it could lead out of the repository', async () => {
  await repository.putSmall('hourly/a/x', Buffer.from('x'));
  const outside = await someFile(10);
  await symlink(outside.path, join(root, 'hourly/a/y'));
  await symlink(folder.path, join(root, 'hourly/b'));
  expect(await keys(repository)).toEqual(['hourly/a/x']);
  await expect(repository.readSmall('hourly/a/y', 100)).rejects.toThrow();
  expect(await repository.stat('hourly/a/y')).toBeUndefined();
});

test('an object larger than what is read at once is refused, not read', async () => {
  await repository.putSmall(dump, randomBytes(100));
  await expect(repository.readSmall(dump, 99)).rejects.toMatchObject({ code: 'OBJECT_TOO_LARGE' });
  expect(await repository.readSmall(dump, 100)).toHaveLength(100);
});

test('a prefix lists what begins with it, in order, with sizes', async () => {
  for (const key of ['hourly/a/2', 'hourly/a/1', 'hourly/ab/1', 'hourly/b/1', 'daily/a/1'])
    await repository.putSmall(key, Buffer.from(key));
  expect(await keys(repository, 'hourly/a')).toEqual(['hourly/a/1', 'hourly/a/2', 'hourly/ab/1']);
  expect(await keys(repository, 'hourly/a/')).toEqual(['hourly/a/1', 'hourly/a/2']);
  expect(await keys(repository, 'weekly/')).toEqual([]);
  const listed = await Array.fromAsync(repository.list('daily/'));
  expect(listed).toEqual([{ key: 'daily/a/1', sizeBytes: 9, modified: expect.any(Date) }]);
});

test.each(['file://host/x', 'http://x', 'backups', 's3://', 's3:///x', 'file:relative'])(
  '%s is no address of a repository',
  async (url) => {
    await expect(openRepository({ url })).rejects.toMatchObject({ code: 'REPOSITORY_URL_INVALID' });
  },
);

async function someFile(sizeBytes: number): Promise<{ path: string; bytes: Buffer }> {
  const bytes = randomBytes(sizeBytes);
  const path = join(folder.path, `source-${randomBytes(4).toString('hex')}`);
  await writeFile(path, bytes);
  return { path, bytes };
}

/** A process that stores an endless stream, once it has begun. */
async function halfWritten() {
  const script = `
    import { setTimeout as sleep } from 'node:timers/promises';
    const { openRepository } = await import(${JSON.stringify(new URL('../../repository/open.ts', import.meta.url).href)});
    async function* endless() { for (;;) { yield Buffer.alloc(1024 * 1024); await sleep(5); } }
    const repository = await openRepository({ url: process.argv[1] });
    await repository.putStream(process.argv[2], endless(), { onProgress: () => console.log('written') });`;
  const writer = spawn(process.execPath, ['--input-type=module', '-e', script, repository.url, dump], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(writer.stdout, 'data');
  return writer;
}

async function keys(of: Repository, prefix = ''): Promise<string[]> {
  return (await Array.fromAsync(of.list(prefix))).map(({ key }) => key);
}

async function readAll(of: Repository, key: string, options = {}): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(await of.read(key, options)));
}

/** Files below a folder, hidden ones too. */
async function namesIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

/** A mount that nobody else sees and that ends with its process. */
function unsharedMount(): string[] | undefined {
  const ways = [
    ['unshare', '--mount'],
    ['unshare', '--map-root-user', '--mount'],
  ];
  return ways.find(
    ([command, ...args]) => spawnSync(command!, [...args, 'sh', '-c', 'mount -t tmpfs none /mnt']).status === 0,
  );
}
