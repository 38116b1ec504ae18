import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { processIdentity } from '../../process/process-identity.ts';
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

async function ownTurns(): Promise<string> {
  const folder = await temporaryFolder('fork-turn');
  undo.push(() => folder.remove());
  return folder.path;
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
  const turns = await ownTurns();
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
    await withForkTurn(signal, () => redis.bgsave(), { onWait: (reason) => reasons.push(reason), turns });
    await expect
      .poll(async () => (await readInfo(redis, 'persistence')).rdb_bgsave_in_progress, { timeout: 20_000 })
      .toBe('0');
    expect((await readInfo(redis, 'persistence')).rdb_last_bgsave_status).toBe('ok');
  };
  await Promise.all([save(first), save(second)]);
  expect(both).toBe(0);
  expect(reasons.join('\n')).toMatch(/a save runs on this host \(pid \d+, of 127\.0\.0\.1:\d+\)/);
  expect(await readdir(turns)).toEqual([]);
});

test('a lock left by an agent that was killed blocks nobody', async () => {
  const turns = await ownTurns();
  const gone = spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' });
  await once(gone, 'exit');
  for (const left of [`${gone.pid}.boot-1.aa`, `${gone.pid}`, 'null', '{}', '.x']) {
    await writeFile(join(turns, left), '');
    const forks = listHostForks();
    const turn = withForkTurn(AbortSignal.timeout(40_000), async () => 'started', { onWait: () => {}, turns });
    expect(await turn).toBe('started');
    await forks;
  }
  // The pid lives, but as another process than the one that wrote the lock.
  await writeFile(join(turns, `${process.ppid}.boot-1.aa`), '');
  expect(await withForkTurn(AbortSignal.timeout(40_000), async () => 1, { onWait: () => {}, turns })).toBe(1);
});

test('the lock of an agent that lives is waited for, with its pid said, until a cancel', async () => {
  const turns = await ownTurns();
  const other = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'], { stdio: 'ignore' });
  undo.push(() => other.kill('SIGKILL'));
  const ticket = `${other.pid}.${processIdentity(other.pid!)}.aa`;
  await writeFile(join(turns, ticket), '');
  const cancel = new AbortController();
  const reasons: string[] = [];
  const turn = withForkTurn(cancel.signal, async () => 'started', {
    onWait: (reason) => reasons.push(reason),
    turns,
  });
  await expect.poll(() => reasons.length, { timeout: 30_000 }).toBe(1);
  // Some looks later it has not been said again.
  await sleep(600);
  cancel.abort(new Error('cancelled by the test'));
  await expect(turn).rejects.toThrow();
  expect(reasons).toEqual([expect.stringContaining(`pid ${other.pid}`)]);
  expect(await readdir(turns)).toEqual([ticket]);
});

test('ten that find a stale lock at once still go one after the other', async () => {
  const turns = await ownTurns();
  await writeFile(join(turns, '1.boot-1.aa'), '');
  let inside = 0;
  let most = 0;
  const all = Array.from({ length: 10 }, () =>
    withForkTurn(
      AbortSignal.timeout(50_000),
      async () => {
        most = Math.max(most, ++inside);
        await sleep(5);
        inside -= 1;
      },
      { onWait: () => {}, turns },
    ),
  );
  await Promise.all(all);
  expect(most).toBe(1);
});

test('a start that fails gives the turn back', async () => {
  const turns = await ownTurns();
  const signal = AbortSignal.timeout(40_000);
  const failing = withForkTurn(signal, () => Promise.reject(new Error('cannot fork')), { onWait: () => {}, turns });
  await expect(failing).rejects.toThrow('cannot fork');
  expect(await withForkTurn(signal, async () => 'next', { onWait: () => {}, turns })).toBe('next');
});
