import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, readdir, readFile, readlink, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { isAlive } from '../../process/process-identity.ts';
import { withRedis } from '../../redis/connection.ts';
import type { SandboxRecord } from '../../restore/files/sandbox-record.ts';
import {
  listSandboxes,
  type SandboxRequest,
  sandboxTarget,
  startSandbox,
  stopSandbox,
  sweepSandboxes,
} from '../../restore/files/started-sandbox.ts';
import { findServers } from '../../sandbox/servers.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type Flavour, missingFlavour, redisBinary, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { untilGone } from '../support/until-gone.ts';

const flavours: readonly Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
const undo: (() => unknown)[] = [];
const io = { signal: new AbortController().signal, onProgress: () => undefined };

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** A dump, and a request for a sandbox on it. */
async function scene(flavour: Flavour = 'redis-7.0') {
  const folder = await temporaryFolder('stays-up');
  undo.push(() => folder.remove());
  const source = await startRedis({ flavour });
  undo.push(() => source.stop());
  await fillEveryType(source);
  const redis = await connectTo(source);
  await redis.save();
  const keys = await redis.dbsize();
  redis.disconnect();
  const dumpPath = join(folder.path, 'dump.rdb');
  await copyFile(join(source.dir, 'dump.rdb'), dumpPath);
  const [server] = await findServers([redisBinary(flavour)]);
  const home = join(folder.path, 'home');
  const request: SandboxRequest = {
    id: 'a-backup',
    dumpPath,
    server: server!,
    home,
    databases: 1,
    maxMemoryBytes: 1e9,
  };
  undo.push(() => stopSandbox(home, request.id));
  return { home, request, keys };
}

async function recordOf(home: string): Promise<SandboxRecord> {
  const [name] = await readdir(join(home, 'sandboxes'));
  return JSON.parse(await readFile(join(home, 'sandboxes', name as string, 'sandbox.json'), 'utf8'));
}

const pidsOf = async (home: string) => {
  const { keeperPid, serverPid } = await recordOf(home);
  return [keeperPid, serverPid];
};

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'a sandbox has the data, needs the password, and stays until it is stopped',
    async () => {
      const { home, request, keys } = await scene(flavour);
      const started = await startSandbox(request, io);
      await rm(request.dumpPath);
      expect(await withRedis((await sandboxTarget(home, request.id))!, (redis) => redis.dbsize())).toBe(keys);
      await expect(withRedis({ url: started.url }, (redis) => redis.dbsize())).rejects.toMatchObject({
        code: 'REDIS_REFUSED_LOGIN',
      });
      const password = (await readFile(started.passwordFile, 'utf8')).trim();
      expect(password.length).toBeGreaterThan(20);
      expect((await stat(started.passwordFile)).mode & 0o777).toBe(0o600);
      expect(JSON.stringify(started)).not.toContain(password);
      const pids = await pidsOf(home);
      for (const pid of pids) expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(password);
      expect(await startSandbox(request, io)).toEqual(started);
      expect(await listSandboxes(home)).toEqual([started]);

      expect(await stopSandbox(home, request.id)).toBe(true);
      expect(await untilGone(pids)).toEqual([]);
      expect(await readdir(join(home, 'sandboxes'))).toEqual([]);
      expect(await stopSandbox(home, request.id)).toBe(false);
    },
  );
});

test('it ends by itself at its time although the process that started it is gone', async () => {
  const { home, request } = await scene();
  await startInChild({ ...request, forMs: 8_000 });
  const pids = await pidsOf(home);
  expect(pids.every((pid) => isAlive(pid))).toBe(true);
  expect(await untilGone(pids, 60_000)).toEqual([]);
  await expect.poll(() => readdir(join(home, 'sandboxes')), { timeout: 10_000 }).toEqual([]);
});

test('one whose starter is gone is stopped by another process, and its keeper killed -9 takes the server with it', async () => {
  const { home, request } = await scene();
  await startInChild(request);
  const first = await pidsOf(home);
  expect(await stopSandbox(home, request.id)).toBe(true);
  expect(await untilGone(first)).toEqual([]);

  await startInChild(request);
  const [keeper, server] = (await pidsOf(home)) as [number, number];
  process.kill(keeper, 'SIGKILL');
  if (process.platform === 'linux') expect(await untilGone([server])).toEqual([]);
  expect(await listSandboxes(home)).toEqual([]);
  expect(await sweepSandboxes(home)).toEqual([request.id]);
  expect(await untilGone([server])).toEqual([]);
  expect(await readdir(join(home, 'sandboxes'))).toEqual([]);
});

test('a state folder that is taken away takes its sandbox with it', async () => {
  const { home, request } = await scene();
  await startInChild(request);
  const pids = await pidsOf(home);
  await rm(home, { recursive: true });
  expect(await untilGone(pids, 30_000)).toEqual([]);
});

test('one past its time that still runs is swept; one within its time is left', async () => {
  const { home, request } = await scene();
  await startSandbox(request, io);
  expect(await sweepSandboxes(home)).toEqual([]);
  const pids = await pidsOf(home);
  const [name] = await readdir(join(home, 'sandboxes'));
  const path = join(home, 'sandboxes', name as string, 'sandbox.json');
  await writeFile(path, JSON.stringify({ ...(await recordOf(home)), endsAt: '2020-01-01T00:00:00.000Z' }));
  expect(await sweepSandboxes(home)).toEqual([request.id]);
  expect(await untilGone(pids)).toEqual([]);
});

test('a dump that cannot be loaded, or is too large, is refused and leaves nothing', async () => {
  const { home, request } = await scene();
  await expect(startSandbox({ ...request, maxMemoryBytes: 1000 }, io)).rejects.toMatchObject({
    code: 'RESTORED_SANDBOX_REFUSED',
    message: expect.stringContaining('it may use 1000'),
  });
  await truncate(request.dumpPath, 100);
  await expect(startSandbox(request, io)).rejects.toMatchObject({
    code: 'RESTORED_SANDBOX_REFUSED',
    message: expect.stringMatching(/short read|rdb/i),
  });
  expect(await readdir(join(home, 'sandboxes'))).toEqual([]);
});

test('a start that is cancelled leaves nothing', async () => {
  const { home, request } = await scene();
  const cancel = new AbortController();
  const starting = startSandbox(request, { ...io, signal: cancel.signal });
  const reason = new Error('cancelled by the test');
  cancel.abort(reason);
  await expect(starting).rejects.toBe(reason);
  expect(await readdir(join(home, 'sandboxes'))).toEqual([]);
  await expect.poll(() => processesWith(home), { timeout: 10_000 }).toEqual([]);
});

/** Keepers and servers of this test: each has its folder in its arguments, or works in it. */
async function processesWith(home: string): Promise<string[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const about = [
        await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
        await readlink(`/proc/${pid}/cwd`).catch(() => ''),
      ];
      return about.some((text) => text.includes(home)) ? pid : undefined;
    }),
  );
  return found.filter((pid) => pid !== undefined);
}

/** Starts it in a process that is gone when this returns. */
async function startInChild(request: SandboxRequest): Promise<void> {
  const script = fileURLToPath(new URL('../support/sandbox-child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(request)], { stdio: ['ignore', 'ignore', 'inherit'] });
  expect((await once(child, 'exit'))[0]).toBe(0);
}
