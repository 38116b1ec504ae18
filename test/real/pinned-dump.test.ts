import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { removeKilledSaves } from '../../backup/killed-saves.ts';
import { type PinnedBytes, pinDump, pinnedBytes, prunePins } from '../../backup/pin.ts';
import { readInfo, redisTimeMs } from '../../redis/info.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

let redis: RedisServer;
let live: Redis;
const undo: (() => unknown)[] = [];

beforeEach(async () => {
  redis = await startRedis();
  live = await connectTo(redis);
  await fillEveryType(redis);
});
afterEach(async () => {
  live?.disconnect();
  await redis?.stop();
  for (const step of undo.splice(0)) await step();
});

/** A dump's time is by time(2), which may be a tick of the timer behind the clock of TIME. */
const second = async () => Math.floor(((await redisTimeMs(live)) - 20) / 1000);

async function saved(): Promise<{ dir: string; dbfilename: string; startedAt: number }> {
  const startedAt = await second();
  await live.save();
  return { dir: redis.dir, dbfilename: 'dump.rdb', startedAt };
}

async function digestOf(bytes: PinnedBytes): Promise<string> {
  const hash = createHash('sha256');
  const path = 'path' in bytes ? bytes.path : '';
  const from = 'fd' in bytes ? { fd: bytes.fd, autoClose: false, start: 0 } : {};
  for await (const chunk of createReadStream(path, from)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

const local = { keep: 0, forMs: 3_600_000, minFreePercent: 0, stored: true, now: Date.now() };

/** A folder on another file system stands in for a dump that may not be linked: there, too, the kernel refuses. */
const otherDisk =
  existsSync('/dev/shm') && statSync('/dev/shm').dev !== statSync(tmpdir()).dev ? '/dev/shm' : undefined;
const kinds = {
  link: async () => {},
  descriptor: async () => {
    const folder = await mkdtemp(join(otherDisk as string, 'rewind-test-pin-'));
    undo.push(() => rm(folder, { recursive: true }));
    await symlink(folder, join(redis.dir, '.rewind'));
  },
};

describe.each(Object.keys(kinds) as (keyof typeof kinds)[])('a pin by %s', (kind) => {
  test.skipIf(kind === 'descriptor' && !otherDisk)(
    'is the dump that was saved, whatever Redis does next: another save, FLUSHALL, its end',
    async () => {
      await kinds[kind]();
      const dump = await saved();
      const pin = await pinDump('a-backup', dump);
      expect(pin.kind).toBe(kind);
      const bytes = await pinnedBytes('a-backup', pin);
      const before = await digestOf(bytes);
      await live.set('later', 'written');
      await live.save();
      await live.config('SET', 'save', '3600 1');
      await live.flushall();
      await redis.kill9();
      expect(await digestOf(await pinnedBytes('a-backup', pin))).toBe(before);
      expect(await pinDump('a-backup', dump)).toEqual(pin);
      await prunePins(redis.dir, 'a-backup', local);
      await expect(pinnedBytes('a-backup', pin)).rejects.toMatchObject({
        code: 'PIN_LOST',
        retryable: expect.any(Boolean),
      });
      expect(await readdir(redis.dir)).not.toContain('a-backup.pin');
    },
  );
});

test('a dump that was begun before it was asked for, or is not there, is never pinned', async () => {
  const dump = await saved();
  await expect(pinDump('a-backup', { ...dump, startedAt: dump.startedAt + 60 })).rejects.toMatchObject({
    code: 'DUMP_NOT_FRESH',
  });
  await expect(pinDump('a-backup', { ...dump, dbfilename: 'other.rdb' })).rejects.toMatchObject({
    code: 'DUMP_NOT_FRESH',
  });
  expect(await readdir(join(redis.dir, '.rewind'))).toEqual([]);
});

describe('what stays on the host after a backup', () => {
  const names = () => readdir(join(redis.dir, '.rewind')).then((all) => all.sort());

  async function backUp(id: string, change: Partial<typeof local>): Promise<void> {
    await pinDump(id, await saved());
    await prunePins(redis.dir, id, { ...local, now: Date.now(), ...change });
  }

  test('the newest copies, as many as configured, and none of a backup that was not stored', async () => {
    for (const id of ['20261124T000001Z-a', '20261124T000002Z-b', '20261124T000003Z-c']) await backUp(id, { keep: 2 });
    expect(await names()).toEqual(['20261124T000002Z-b.rdb', '20261124T000003Z-c.rdb']);
    await backUp('20261124T000004Z-d', { keep: 2, stored: false });
    expect(await names()).toEqual(['20261124T000002Z-b.rdb', '20261124T000003Z-c.rdb']);
    await backUp('20261124T000005Z-e', { keep: 0 });
    expect(await names()).toEqual([]);
  });

  test('no copy for longer than configured, and none where the disk has less free than configured', async () => {
    await backUp('20261124T000001Z-a', { keep: 2 });
    await backUp('20261124T000002Z-b', { keep: 2, now: Date.now() + local.forMs + 60_000 });
    expect(await names()).toEqual([]);
    await backUp('20261124T000003Z-c', { keep: 2, minFreePercent: 100 });
    expect(await names()).toEqual([]);
  });

  test('pins of runs that crashed go with the next one', async () => {
    await pinDump('20261124T000001Z-crashed', await saved());
    await backUp('20261124T000002Z-b', { keep: 1 });
    expect(await names()).toEqual(['20261124T000002Z-b.rdb']);
  });
});

describe('what saves that were killed leave in Redis’ folder', () => {
  const temporary = async () => (await readdir(redis.dir)).filter((name) => name.startsWith('temp-'));

  test('is removed once its writer is gone; nothing else is', async () => {
    await live.config('SET', 'rdb-key-save-delay', 1_000_000);
    await live.bgsave();
    await expect.poll(temporary, { timeout: 30_000 }).toHaveLength(1);
    await redis.kill9();
    await redis.restart();
    live.disconnect();
    live = await connectTo(redis);
    expect(await temporary()).toHaveLength(1);
    await writeFile(join(redis.dir, 'temp-notes.rdb'), 'of somebody');
    const [child] = (await temporary()).map((name) => Number(/^temp-(\d+)\.rdb$/.exec(name)?.[1])).filter(Boolean);
    // Redis writes on after its parent was killed, until it notices.
    await expect.poll(() => isRunning(child as number), { timeout: 60_000 }).toBe(false);
    expect(await removeKilledSaves(redis.dir, await readInfo(live, 'everything'))).toBe(1);
    expect(await temporary()).toEqual(['temp-notes.rdb']);
  });

  test('of a Redis whose pids are not ours to see goes only when nothing has touched it for long', async () => {
    const young = join(redis.dir, 'temp-99999999.rdb');
    const old = join(redis.dir, 'temp-99999998.rdb');
    await mkdir(redis.dir, { recursive: true });
    for (const path of [young, old]) await writeFile(path, 'half a dump');
    await utimes(old, new Date(0), new Date(0));
    const info = { ...(await readInfo(live, 'everything')), process_id: '1' };
    expect(await removeKilledSaves(redis.dir, info)).toBe(1);
    expect(await temporary()).toEqual(['temp-99999999.rdb']);
  });

  test('is left alone while a save runs', async () => {
    await writeFile(join(redis.dir, 'temp-99999999.rdb'), 'half a dump');
    const info = { ...(await readInfo(live, 'everything')), rdb_bgsave_in_progress: '1' };
    expect(await removeKilledSaves(redis.dir, info)).toBe(0);
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
