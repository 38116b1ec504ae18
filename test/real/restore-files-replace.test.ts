import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import {
  putBack,
  type ReplaceRequest,
  recoverReplacement,
  replaceServerFiles,
} from '../../restore/files/replace-files.ts';
import { findServers } from '../../sandbox/servers.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type Flavour, missingFlavour, type RedisServer, redisBinary, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const flavours: readonly Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
const undo: (() => unknown)[] = [];
const io = { signal: new AbortController().signal, onProgress: () => undefined };
const isRunning = async () => false;

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function folder(): Promise<string> {
  const own = await temporaryFolder('replace');
  undo.push(() => own.remove());
  return own.path;
}

async function start(flavour: Flavour, dir: string, config: Record<string, string>): Promise<[RedisServer, Redis]> {
  const debug: Record<string, string> = flavour === 'redis-6.2' ? {} : { 'enable-debug-command': 'local' };
  const server = await startRedis({ flavour, dir, config: { ...debug, ...config } });
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  return [server, redis];
}

const digestOf = async (redis: Redis) => String(await redis.call('DEBUG', 'DIGEST'));

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour)).each(['yes', 'no'])(
    'a stopped server starts on the restored files, and on its own again once they are put back (appendonly %s)',
    async (appendonly) => {
      const [source, ofSource] = await start(flavour, await folder(), {});
      await fillEveryType(source);
      await ofSource.save();
      const dumpPath = join(await folder(), 'backup.rdb');
      await copyFile(join(source.dir, 'dump.rdb'), dumpPath);
      const restored = await digestOf(ofSource);

      const dir = await folder();
      const [first, before] = await start(flavour, dir, { appendonly });
      await before.set('only here', '1');
      const own = await digestOf(before);
      if (appendonly === 'no') await before.save();
      await first.stop();

      const [program] = await findServers([redisBinary(flavour)]);
      const request: ReplaceRequest = {
        restoreId: 'one',
        dumpPath,
        dir,
        aof: appendonly === 'yes',
        server: { name: program!.name, version: program!.version },
        isRunning,
      };
      const replaced = await replaceServerFiles(request, io);
      expect(await replaceServerFiles(request, io)).toEqual(replaced);
      expect(replaced.movedAside.length).toBeGreaterThan(0);

      const [second, after] = await start(flavour, dir, { appendonly });
      expect(await digestOf(after)).toBe(restored);
      await after.set('written', 'since');
      await second.stop();

      const { withdrawn } = await putBack(dir, isRunning);
      const [, again] = await start(flavour, dir, { appendonly });
      expect(await digestOf(again)).toBe(own);
      expect((await readdir(withdrawn)).length).toBeGreaterThan(0);
    },
  );
});

test('files of a server that runs are not touched, before and after', async () => {
  const { dir, request } = await scene();
  const before = await contentOf(dir);
  await expect(replaceServerFiles({ ...request, isRunning: async () => true }, io)).rejects.toMatchObject({
    code: 'RESTORE_SERVER_RUNNING',
  });
  expect(await contentOf(dir)).toEqual(before);
  // It is started by somebody while the dump is copied.
  let asked = 0;
  const later = async () => ++asked > 1;
  await expect(replaceServerFiles({ ...request, isRunning: later }, io)).rejects.toMatchObject({
    code: 'RESTORE_SERVER_RUNNING',
  });
  expect(await contentOf(dir)).toEqual(before);
  await replaceServerFiles(request, io);
  await expect(putBack(dir, async () => true)).rejects.toMatchObject({ code: 'RESTORE_SERVER_RUNNING' });
});

test('a folder that went with its data is made again; one whose disk may be missing is not', async () => {
  const { dir, request } = await scene();
  await rm(dir, { recursive: true });
  await replaceServerFiles(request, io);
  expect(await readFile(join(dir, 'dump.rdb'), 'utf8')).toBe('REDIS0010 new');
  const deeper = join(dir, 'not', 'there');
  await expect(replaceServerFiles({ ...request, dir: deeper }, io)).rejects.toMatchObject({
    code: 'RESTORE_DIR_UNUSABLE',
  });
});

test('nothing to put back is said, and nothing moves', async () => {
  const { dir, request } = await scene();
  await expect(putBack(dir, isRunning)).rejects.toMatchObject({ code: 'RESTORE_PUT_BACK_IMPOSSIBLE' });
  const { aside } = await replaceServerFiles(request, io);
  await rm(join(dir, aside as string, 'dump.rdb'));
  const before = await contentOf(dir);
  await expect(putBack(dir, isRunning)).rejects.toMatchObject({ code: 'RESTORE_PUT_BACK_IMPOSSIBLE' });
  expect(await contentOf(dir)).toEqual(before);
});

test('a second restore sets the first one aside, too', async () => {
  const { dir, request } = await scene();
  const first = await replaceServerFiles(request, io);
  const other = join(await folder(), 'other.rdb');
  await writeFile(other, 'REDIS0010 another');
  const second = await replaceServerFiles({ ...request, dumpPath: other }, io);
  expect(second.aside).not.toBe(first.aside);
  expect(await readFile(join(dir, second.aside as string, 'dump.rdb'), 'utf8')).toBe('REDIS0010 new');
  expect(await readFile(join(dir, first.aside as string, 'dump.rdb'), 'utf8')).toBe('old dump');
});

test('the same backup in a later incident is placed again over what the server has written since', async () => {
  const { dir, request } = await scene();
  const first = await replaceServerFiles(request, io);
  await writeFile(join(dir, 'dump.rdb'), 'of the server that died again');
  expect(await replaceServerFiles(request, io)).toEqual(first);
  const later = await replaceServerFiles({ ...request, restoreId: 'two' }, io);
  expect(await readFile(join(dir, 'dump.rdb'), 'utf8')).toBe('REDIS0010 new');
  expect(await readFile(join(dir, later.aside as string, 'dump.rdb'), 'utf8')).toBe('of the server that died again');
});

test('killed before any one of its changes, the same call ends a replacement, and the start in between sees old or new', async () => {
  const done = await killedAtEach('replace', async (dir, request, exit) => {
    await recoverReplacement(dir);
    const between = await contentOf(dir);
    const isOld = between['dump.rdb'] === 'old dump';
    expect(between['appendonlydir/appendonly.aof.manifest']).toContain(isOld ? 'old' : 'appendonly.aof.1.base.rdb');
    expect(between['appendonlydir/appendonly.aof.2.base.rdb'] === undefined).toBe(!isOld);
    const replaced = await replaceServerFiles(request, io);
    expectNew(await contentOf(dir), replaced.aside as string);
    expect(exit === 0 && isOld).toBe(false);
  });
  expect(done).toBeGreaterThan(15);
});

test('killed before any one of its changes, the same call ends an undoing', async () => {
  const done = await killedAtEach('put-back', async (dir) => {
    await putBack(dir, isRunning).catch((error) => expect(error.code).toBe('RESTORE_PUT_BACK_IMPOSSIBLE'));
    const now = await contentOf(dir);
    expect(Object.fromEntries(Object.entries(now).filter(([name]) => !name.startsWith('rewind-')))).toEqual(oldContent);
    expect(Object.keys(now).filter((name) => /^rewind-withdrawn-.*dump\.rdb$/.test(name)).length).toBe(1);
    expect(Object.keys(now).filter((name) => /^rewind-(aside|incoming)/.test(name))).toEqual([]);
  });
  expect(done).toBeGreaterThan(8);
});

const oldContent: Record<string, string> = {
  'dump.rdb': 'old dump',
  'appendonlydir/appendonly.aof.manifest': 'old manifest',
  'appendonlydir/appendonly.aof.2.base.rdb': 'old base',
  'redis.conf': 'of the server',
};

function expectNew(now: Record<string, string>, aside: string): void {
  expect(now['dump.rdb']).toBe('REDIS0010 new');
  expect(now['appendonlydir/appendonly.aof.1.base.rdb']).toBe('REDIS0010 new');
  expect(now['appendonlydir/appendonly.aof.manifest']).toBe('file appendonly.aof.1.base.rdb seq 1 type b\n');
  expect(now['redis.conf']).toBe('of the server');
  expect(now[`${aside}/dump.rdb`]).toBe('old dump');
  expect(now[`${aside}/appendonlydir/appendonly.aof.2.base.rdb`]).toBe('old base');
  expect(Object.keys(now).filter((name) => name.includes('incoming') || name.endsWith('.part'))).toEqual([]);
}

/** A stopped server's folder with old files, and a dump to be placed. */
async function scene(): Promise<{ dir: string; request: ReplaceRequest }> {
  const dir = await folder();
  await mkdir(join(dir, 'appendonlydir'));
  for (const [name, text] of Object.entries(oldContent)) await writeFile(join(dir, name), text);
  const dumpPath = join(await folder(), 'backup.rdb');
  await writeFile(dumpPath, 'REDIS0010 new');
  return {
    dir,
    request: { restoreId: 'one', dumpPath, dir, aof: true, server: { name: 'redis', version: '7.0.15' }, isRunning },
  };
}

/** Every file below, but for our own journal. */
async function contentOf(dir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(dir.length + 1);
    if (entry.isFile() && !name.startsWith('.rewind-replace')) found[name] = await readFile(path, 'utf8');
  }
  return found;
}

/** @returns before how many changes it was killed until it came through */
async function killedAtEach(
  what: 'replace' | 'put-back',
  look: (dir: string, request: ReplaceRequest, exit: number | null) => Promise<void>,
): Promise<number> {
  const script = fileURLToPath(new URL('../support/files-child.ts', import.meta.url));
  const made = await scene();
  if (what === 'put-back') await replaceServerFiles(made.request, io);
  for (let at = 1; at < 200; at += 1) {
    const dir = join(await folder(), 'server');
    await cp(made.dir, dir, { recursive: true });
    const request = { ...made.request, dir };
    const child = spawn(process.execPath, [script, what, JSON.stringify(request)], {
      env: { ...process.env, KILL_AT: String(at) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    expect(signal ?? code).toSatisfy((how: unknown) => how === 'SIGKILL' || how === 0);
    await look(dir, request, code);
    if (code === 0) return at - 1;
  }
  throw new Error('it never came through');
}
