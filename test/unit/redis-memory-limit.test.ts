import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { memoryFacts } from '../../redis/host-memory.ts';
import { memoryLimit } from '../../redis/memory-limit.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const MB = 2 ** 20;

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await temporaryFolder('memory-limit');
});
afterEach(() => folder.remove());

/** A kernel's files as they are below /proc and /sys/fs/cgroup. */
async function kernel(files: Record<string, string | number>) {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder.path, path)), { recursive: true });
    await writeFile(join(folder.path, path), `${content}\n`);
  }
  return { proc: join(folder.path, 'proc'), cgroup: join(folder.path, 'cgroup') };
}

describe('the memory limit of a process', () => {
  test('in a container that sees its own group as the root (version 2), page cache counted as left', async () => {
    const folders = await kernel({
      'proc/7/cgroup': '0::/',
      'cgroup/memory.max': 512 * MB,
      'cgroup/memory.current': 400 * MB,
      'cgroup/memory.stat': `anon 1\ninactive_file ${100 * MB}\nactive_file 5`,
    });
    expect(await memoryLimit(7, folders)).toEqual({ limitBytes: 512 * MB, leftBytes: 212 * MB, group: '/' });
  });

  test('of a service, where a slice above it leaves less', async () => {
    const folders = await kernel({
      'proc/7/cgroup': '0::/system.slice/redis.service',
      'cgroup/system.slice/redis.service/memory.max': 'max',
      'cgroup/system.slice/redis.service/memory.current': 10 * MB,
      'cgroup/system.slice/memory.max': 64 * MB,
      'cgroup/system.slice/memory.current': 60 * MB,
    });
    expect(await memoryLimit(7, folders)).toEqual({ limitBytes: 64 * MB, leftBytes: 4 * MB, group: '/system.slice' });
  });

  test('of version 1, whose "no limit" is a number, beside a version 2 that has no memory', async () => {
    const group = { 'proc/7/cgroup': '4:cpu,memory:/docker/abc\n0::/' };
    const unlimited = await kernel({
      ...group,
      'cgroup/memory/docker/abc/memory.limit_in_bytes': '9223372036854771712',
      'cgroup/memory/docker/abc/memory.usage_in_bytes': 5,
    });
    expect(await memoryLimit(7, unlimited)).toBeUndefined();
    const limited = await kernel({
      'cgroup/memory/docker/abc/memory.limit_in_bytes': 32 * MB,
      'cgroup/memory/docker/abc/memory.usage_in_bytes': 40 * MB,
      'cgroup/memory/docker/abc/memory.stat': `total_inactive_file ${MB}`,
    });
    expect(await memoryLimit(7, limited)).toEqual({ limitBytes: 32 * MB, leftBytes: 0, group: '/docker/abc' });
  });

  test.each([
    ['a group outside of what this process may see', '0::/../other'],
    ['no such process', undefined],
    ['a file of something else', 'nothing that is known'],
  ])('is not guessed at: %s', async (_what, cgroup) => {
    const folders = await kernel({
      ...(cgroup ? { 'proc/7/cgroup': cgroup } : {}),
      'cgroup/memory.max': MB,
      'cgroup/memory.current': 1,
    });
    expect(await memoryLimit(7, folders)).toBeUndefined();
  });
});

describe('what a save may take', () => {
  const machine = { 'proc/meminfo': `MemTotal: ${16 * 1024} kB\nMemAvailable: ${12 * 1024} kB` };

  test('is what the limit leaves, where that is less than the machine has', async () => {
    const folders = await kernel({
      ...machine,
      'proc/7/cgroup': '0::/',
      'cgroup/memory.max': 3 * MB,
      'cgroup/memory.current': 2 * MB,
    });
    expect(await memoryFacts(7, folders)).toMatchObject({
      totalBytes: 3 * MB,
      availableBytes: MB,
      limit: { group: '/', limitBytes: 3 * MB },
    });
  });

  test('is what the machine has, where a limit leaves more', async () => {
    const folders = await kernel({
      ...machine,
      'proc/7/cgroup': '0::/',
      'cgroup/memory.max': 30 * MB,
      'cgroup/memory.current': 2 * MB,
    });
    const facts = await memoryFacts(7, folders);
    expect(facts).toMatchObject({ totalBytes: 16 * MB, availableBytes: 12 * MB });
    expect(facts).not.toHaveProperty('limit');
  });

  test('of a Redis in another container is not told by the agent’s own limit', async () => {
    const folders = await kernel({
      ...machine,
      'proc/self/cgroup': '0::/',
      'cgroup/memory.max': 3 * MB,
      'cgroup/memory.current': 2 * MB,
    });
    expect(await memoryFacts('unseen', folders)).toMatchObject({ availableBytes: 12 * MB });
    expect(await memoryFacts('self', folders)).toMatchObject({ availableBytes: MB });
  });
});
