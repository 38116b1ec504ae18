import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { listHostForks, withForkTurn } from '../../redis/host-forks.ts';
import { readInfo } from '../../redis/info.ts';
import { type Flavour, missingFlavour, type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** A server whose save takes about `saveMs`. */
async function slowSaver(
  saveMs: number,
  flavour: Flavour = 'redis-7.0',
  config = {},
): Promise<{ server: RedisServer; redis: Redis }> {
  const server = await startRedis({ flavour, config: { 'rdb-key-save-delay': String(saveMs * 100), ...config } });
  undo.push(() => server.stop());
  const redis = await connectRedis({ url: `redis://127.0.0.1:${server.port}` });
  undo.push(() => redis.disconnect());
  await redis.mset(Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`key:${i}`, 'value'])));
  return { server, redis };
}

async function ownLock(): Promise<string> {
  const folder = await temporaryFolder('fork-turn');
  undo.push(() => folder.remove());
  return join(folder.path, 'fork-turn.lock');
}

/** Forks of this server only: others on the machine may save as well. */
async function forksOf(server: RedisServer) {
  const children = (await readFile(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8'))
    .trim()
    .split(' ')
    .map(Number);
  return (await listHostForks()).filter((fork) => children.includes(fork.pid));
}

const onLinux = test.skipIf(process.platform !== 'linux');

describe.each<Flavour>(['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'])('%s', (flavour) => {
  test.skipIf(process.platform !== 'linux' || missingFlavour(flavour))(
    'a save, a rewrite and a transfer to a replica are seen as what they are',
    async () => {
      const { server, redis } = await slowSaver(3_000, flavour, {
        'repl-diskless-sync': 'yes',
        'repl-diskless-sync-delay': '0',
      });
      expect(await forksOf(server)).toEqual([]);
      await redis.bgsave();
      // A child that has just been forked still has its parent's title.
      await expect.poll(() => forksOf(server)).toMatchObject([{ kind: 'save', server: `127.0.0.1:${server.port}` }]);
      await redis.flushall();
      await redis.set('key', 'value');
      await expect.poll(() => forksOf(server), { timeout: 10_000 }).toEqual([]);
      await redis.mset(Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`key:${i}`, 'value'])));
      await redis.bgrewriteaof();
      await expect.poll(() => forksOf(server)).toMatchObject([{ kind: 'rewrite' }]);
      await expect.poll(() => forksOf(server), { timeout: 10_000 }).toEqual([]);
      const replica = await startRedis({ flavour, config: { replicaof: `127.0.0.1 ${server.port}` } });
      undo.push(() => replica.stop());
      await expect.poll(() => forksOf(server), { timeout: 10_000 }).toMatchObject([{ kind: 'replication' }]);
    },
  );
});

onLinux('a fork is seen where the server was told to write other titles', async () => {
  const { server, redis } = await slowSaver(3_000, 'redis-7.0', {
    'proc-title-template': '"{listen-addr} {server-mode}"',
  });
  await redis.bgsave();
  expect(await forksOf(server)).toMatchObject([{ kind: 'other' }]);
});

onLinux('two instances of one host save one after the other', async () => {
  const lockPath = await ownLock();
  const [first, second] = [await slowSaver(1_500), await slowSaver(1_500)];
  const signal = AbortSignal.timeout(50_000);
  const reasons: string[] = [];
  let both = 0;
  const watch = setInterval(async () => {
    const saving = await Promise.all([forksOf(first.server), forksOf(second.server)]).catch(() => []);
    if (saving.filter((forks) => forks.length > 0).length > 1) both += 1;
  }, 50);
  undo.push(() => clearInterval(watch));
  const save = async ({ redis }: { redis: Redis }) => {
    await withForkTurn(signal, () => redis.bgsave(), { onWait: (reason) => reasons.push(reason), lockPath });
    await expect
      .poll(async () => (await readInfo(redis, 'persistence')).rdb_bgsave_in_progress, { timeout: 20_000 })
      .toBe('0');
    expect((await readInfo(redis, 'persistence')).rdb_last_bgsave_status).toBe('ok');
  };
  await Promise.all([save(first), save(second)]);
  expect(both).toBe(0);
  expect(reasons.join('\n')).toMatch(/a save runs on this host \(pid \d+, of 127\.0\.0\.1:\d+\)/);
  await expect(readFile(lockPath)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a lock left by an agent that was killed blocks nobody', async () => {
  const lockPath = await ownLock();
  const gone = spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' });
  await once(gone, 'exit');
  for (const left of [JSON.stringify({ pid: gone.pid, identity: 'boot:1' }), '{"pid":', 'null', '{}']) {
    await writeFile(lockPath, left);
    const forks = listHostForks();
    const turn = withForkTurn(AbortSignal.timeout(40_000), async () => 'started', { onWait: () => {}, lockPath });
    expect(await turn).toBe('started');
    await forks;
  }
  // The pid lives, but as another process than the one that wrote the lock.
  await writeFile(lockPath, JSON.stringify({ pid: process.ppid, identity: 'boot:1' }));
  expect(await withForkTurn(AbortSignal.timeout(40_000), async () => 1, { onWait: () => {}, lockPath })).toBe(1);
});

test('the lock of an agent that lives is waited for, with its pid said, until a cancel', async () => {
  const lockPath = await ownLock();
  const other = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'], { stdio: 'ignore' });
  undo.push(() => other.kill('SIGKILL'));
  await writeFile(lockPath, JSON.stringify({ pid: other.pid }));
  const cancel = new AbortController();
  const reasons: string[] = [];
  const turn = withForkTurn(cancel.signal, async () => 'started', {
    onWait: (reason) => reasons.push(reason),
    lockPath,
  });
  await sleep(600);
  cancel.abort(new Error('cancelled by the test'));
  await expect(turn).rejects.toThrow();
  expect(reasons).toEqual([expect.stringContaining(`pid ${other.pid}`)]);
  expect(JSON.parse(await readFile(lockPath, 'utf8'))).toEqual({ pid: other.pid });
});

test('ten that find a stale lock at once still go one after the other', async () => {
  const lockPath = await ownLock();
  await writeFile(lockPath, JSON.stringify({ pid: 0 }));
  let inside = 0;
  let most = 0;
  const turns = Array.from({ length: 10 }, () =>
    withForkTurn(
      AbortSignal.timeout(50_000),
      async () => {
        most = Math.max(most, ++inside);
        await sleep(5);
        inside -= 1;
      },
      { onWait: () => {}, lockPath },
    ),
  );
  await Promise.all(turns);
  expect(most).toBe(1);
});

test('a start that fails gives the turn back', async () => {
  const lockPath = await ownLock();
  const signal = AbortSignal.timeout(40_000);
  const failing = withForkTurn(signal, () => Promise.reject(new Error('cannot fork')), { onWait: () => {}, lockPath });
  await expect(failing).rejects.toThrow('cannot fork');
  expect(await withForkTurn(signal, async () => 'next', { onWait: () => {}, lockPath })).toBe('next');
});
