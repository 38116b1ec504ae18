import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { describeServer } from '../../redis/server-description.ts';
import { openRepository } from '../../repository/open.ts';
import { sha256Of } from '../../restore/files/durable-files.ts';
import type { FilesRequest } from '../../restore/files/incoming.ts';
import { placeFiles } from '../../restore/files/place-files.ts';
import { placeInFolder } from '../../restore/files/place-in-folder.ts';
import { whatIsLoaded } from '../../restore/files/what-is-loaded.ts';
import type { RestorePoint } from '../../restore/restore-point.ts';
import { findServers } from '../../sandbox/servers.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type Flavour, missingFlavour, type RedisServer, redisBinary, startRedis } from '../support/servers.ts';
import { cannotMount, smallDisk } from '../support/small-disk.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const flavours: readonly Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
const undo: (() => unknown)[] = [];
const io = { signal: new AbortController().signal, onProgress: () => undefined };

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function folder(): Promise<string> {
  const own = await temporaryFolder('files');
  undo.push(() => own.remove());
  return own.path;
}

async function connect(server: RedisServer): Promise<Redis> {
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  return redis;
}

const debugOf = (flavour: Flavour): Record<string, string> =>
  flavour === 'redis-6.2' ? {} : { 'enable-debug-command': 'local' };
const digestOf = async (redis: Redis) => String(await redis.call('DEBUG', 'DIGEST'));

/** A dump, and what was known of its server, as a backup has them. */
async function backupOf(flavour: Flavour) {
  const server = await startRedis({
    flavour,
    config: { ...debugOf(flavour), maxmemory: '200mb', 'client-output-buffer-limit': 'normal 1mb 1mb 5' },
  });
  const redis = await connect(server);
  await fillEveryType(server);
  await redis.acl('SETUSER', 'app', 'on', '>a-password', '~app:*', '+@read');
  await redis.save();
  const at = await folder();
  await copyFile(join(server.dir, 'dump.rdb'), join(at, 'dump.rdb'));
  const description = await describeServer(redis, { includeAcl: true });
  const [program] = await findServers([redisBinary(flavour)]);
  return {
    dumpPath: join(at, 'dump.rdb'),
    digest: await digestOf(redis),
    server: { name: program!.name, version: program!.version },
    description,
  };
}

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour)).each([true, false])(
    'starts with all data on the files that were placed (append-only file %s)',
    async (aof) => {
      const backup = await backupOf(flavour);
      const dir = join(await folder(), 'not', 'there', 'yet');
      const request: FilesRequest = { ...backup, dir, aof };
      const placed = await placeFiles(request, io);
      expect(await placeFiles(request, io)).toEqual(placed);
      expect(placed.sha256).toBe(await sha256Of(backup.dumpPath, io));
      expect(placed.files).toEqual(expect.arrayContaining(['users.acl.proposed', 'redis.conf.proposed']));

      const names = { dbfilename: 'dump.rdb', appendfilename: 'appendonly.aof', appenddirname: 'appendonlydir' };
      const loaded = await whatIsLoaded({ dir, appendonly: aof, ...names }, backup.server);
      expect(loaded.from).toBe(aof ? 'append-only-file' : 'dump');

      const config = { ...debugOf(flavour), appendonly: aof ? 'yes' : 'no' };
      const started = await startRedis({ flavour, dir, config });
      const redis = await connect(started);
      expect(await digestOf(redis)).toBe(backup.digest);
      // Where it is not ignored: what is written now is there after the next start, beside what was restored.
      await redis.set('written', 'after');
      if (!aof) await redis.save();
      await started.kill9();
      await started.restart();
      const again = await connect(started);
      expect(await again.get('written')).toBe('after');
      await again.del('written');
      expect(await digestOf(again)).toBe(backup.digest);
      await expect(placeFiles(request, io)).rejects.toMatchObject({ code: 'RESTORE_DIR_NOT_EMPTY' });
    },
  );

  test.skipIf(missingFlavour(flavour))('starts on the settings and users that are proposed', async () => {
    const backup = await backupOf(flavour);
    const dir = await folder();
    await placeFiles({ ...backup, dir, aof: false }, io);
    const proposed = await readFile(join(dir, 'redis.conf.proposed'), 'utf8');
    const conf = join(await folder(), 'redis.conf');
    await writeFile(conf, proposed);
    const aclfile = join(dir, 'users.acl.proposed');
    const server = await startRedis({ flavour, dir, config: { include: conf, aclfile } });
    const redis = await connect(server);
    // Redis 6.2 writes this default out only once it has read it from a file, others always.
    const plain = (lines: readonly string[] = []) => lines.map((line) => line.replace(' sanitize-payload', ''));
    expect(plain((await redis.acl('LIST')) as string[])).toEqual(plain(backup.description.acl));
    expect(await redis.config('GET', 'maxmemory')).toEqual(['maxmemory', String(200 * 1024 * 1024)]);
    expect(((await redis.config('GET', 'client-output-buffer-limit')) as string[])[1]).toContain(
      'normal 1048576 1048576 5',
    );
  });
});

test('a folder with anything else in it is refused, and left as it is', async () => {
  const { dumpPath, server } = await plainDump();
  const dir = await folder();
  await writeFile(join(dir, 'somebody.txt'), 'else');
  await expect(placeFiles({ dumpPath, server, dir, aof: true }, io)).rejects.toMatchObject({
    code: 'RESTORE_DIR_NOT_EMPTY',
    message: expect.stringContaining('somebody.txt'),
  });
  expect(await readdir(dir)).toEqual(['somebody.txt']);
  await expect(placeFiles({ dumpPath, server, dir: 'relative', aof: true }, io)).rejects.toMatchObject({
    code: 'RESTORE_DIR_UNUSABLE',
  });
});

test('a dump with other bytes than its manifest says is not placed', async () => {
  const { dumpPath, server } = await plainDump();
  const dir = await folder();
  const sha256 = await sha256Of(dumpPath, io);
  await appendFile(dumpPath, 'x');
  const request = { dumpPath, server, dir, aof: true, sha256 };
  await expect(placeFiles(request, io)).rejects.toMatchObject({ code: 'RESTORE_DUMP_DIFFERS' });
  expect((await readdir(dir)).filter((name) => !name.startsWith('.'))).toEqual([]);
});

test('a call that is killed leaves nothing under the names that a server reads, and the next one ends it', async () => {
  const { dumpPath, server } = await plainDump(200);
  const dir = join(await folder(), 'into');
  const request: FilesRequest = { dumpPath, server, dir, aof: true };
  const child = await placeInChild(request);
  await expect.poll(() => partOf(dir), { timeout: 60_000, interval: 2 }).toBeGreaterThan(0);
  child.kill('SIGKILL');
  await once(child, 'exit');
  const left = await readdir(dir);
  // The disk may have been faster than the look at it.
  if (!left.includes('dump.rdb')) expect(left.filter((name) => !name.startsWith('.'))).toEqual([]);
  const placed = await placeFiles(request, io);
  expect(placed.files).toEqual(['appendonlydir', 'dump.rdb']);
  expect((await readdir(dir)).sort()).toEqual(['.rewind-restore.json', 'appendonlydir', 'dump.rdb']);
  expect((await stat(join(dir, 'dump.rdb'))).size).toBe((await stat(dumpPath)).size);
});

test.skipIf(cannotMount())('a disk without room is told before anything is written', async () => {
  const disk = await smallDisk({ size: '8m' });
  undo.push(() => disk.remove());
  const { dumpPath, server } = await plainDump(20);
  const dir = join(disk.path, 'into');
  await expect(placeFiles({ dumpPath, server, dir, aof: false }, io)).rejects.toMatchObject({ code: 'DISK_FULL' });
  expect((await readdir(dir)).filter((name) => !name.startsWith('.'))).toEqual([]);
});

test('what a server would load: dump.rdb is ignored with the append-only file on, and a missing manifest means empty', async () => {
  const dir = await folder();
  const names = { dir, dbfilename: 'dump.rdb', appendfilename: 'appendonly.aof', appenddirname: 'appendonlydir' };
  await writeFile(join(dir, 'dump.rdb'), '');
  const seven = { name: 'redis', version: '7.0.15' };
  const six = { name: 'redis', version: '6.2.14' };
  expect((await whatIsLoaded({ ...names, appendonly: false }, seven)).from).toBe('dump');
  expect((await whatIsLoaded({ ...names, appendonly: true }, seven)).from).toBe('nothing');
  expect((await whatIsLoaded({ ...names, appendonly: true }, six)).from).toBe('nothing');
  await writeFile(join(dir, 'appendonly.aof'), '');
  expect((await whatIsLoaded({ ...names, appendonly: true }, six)).path).toBe(join(dir, 'appendonly.aof'));
  expect((await whatIsLoaded({ ...names, appendonly: true }, seven)).path).toBe(join(dir, 'appendonly.aof'));
  await mkdir(join(dir, 'appendonlydir'));
  await writeFile(join(dir, 'appendonlydir', 'appendonly.aof.manifest'), '');
  expect((await whatIsLoaded({ ...names, appendonly: true }, seven)).path).toContain('manifest');
});

async function plainDump(megabytes = 1) {
  const dumpPath = join(await folder(), 'dump.rdb');
  await writeFile(dumpPath, Buffer.concat([Buffer.from('REDIS0010'), Buffer.alloc(megabytes * 1_000_000)]));
  return { dumpPath, server: { name: 'redis', version: '7.0.15' } as const };
}

async function placeInChild(request: FilesRequest): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('../support/files-child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, 'place', JSON.stringify(request)], { stdio: 'ignore' });
  undo.push(() => child.kill('SIGKILL'));
  return child;
}

/** Bytes that are half-written now. */
async function partOf(dir: string): Promise<number> {
  const names = await readdir(join(dir, '.rewind-incoming')).catch(() => [] as string[]);
  const part = names.find((name) => name.endsWith('.part'));
  return part ? ((await stat(join(dir, '.rewind-incoming', part)).catch(() => undefined))?.size ?? 0) : 0;
}

test.each(['{"acl":', '{}', undefined])(
  'a dump whose description is damaged or gone (%s) is placed all the same, without proposals, and it is said',
  async (text) => {
    const backup = await backupOf('redis-7.0');
    const [at, home] = [await folder(), await folder()];
    const repository = await openRepository({ url: `file://${at}`, encryption: { sse: 'none' } });
    const bytes = await readFile(backup.dumpPath);
    await repository.putSmall('b/dump.rdb', bytes);
    if (text !== undefined) await repository.putSmall('b/server.json', Buffer.from(text));
    const point = {
      ...{ id: 'b', dumpKey: 'b/dump.rdb', serverFileKey: 'b/server.json', server: backup.server },
      ...{ sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
    } as RestorePoint;
    const notes: (string | undefined)[] = [];
    const placed = await placeInFolder(
      { policy: { host: {} } as InstanceContext['policy'], repository, home },
      'a-restore',
      join(at, 'placed'),
      point,
      { ...io, onProgress: ({ note }) => notes.push(note) },
    );
    expect(placed.files).toEqual(['appendonlydir', 'dump.rdb']);
    expect(notes.join()).toContain('without proposals for users and settings: ');
  },
);
