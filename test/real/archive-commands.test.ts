import { execFile } from 'node:child_process';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { segmentsDirectory } from '../../archive/layout.ts';
import { openRepository } from '../../repository/open.ts';
import { stopSandbox } from '../../restore/files/started-sandbox.ts';
import { ArchiveCutter } from '../support/archive-cutter.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo } from '../support/dataset.ts';
import { type RedisServer, redisBinary, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));
const withAof = { ...debugAllowed(), appendonly: 'yes', appendfsync: 'always', 'aof-disable-auto-gc': 'yes' };
/** Written at noon, flushed at half past: times are the cutter's, so that no test waits for a clock. */
const noon = Date.parse('2026-11-20T12:00:00Z');

let folder: TemporaryFolder;
let live: RedisServer;
let cutter: ArchiveCutter;
let digestBefore: string;

beforeAll(async () => {
  folder = await temporaryFolder('archive-commands');
  live = await startRedis({ config: withAof });
  const config = {
    repository: { url: `file://${folder.path}/repository` },
    sandbox: { servers: [redisBinary()] },
    instances: { orders: { url: `redis://127.0.0.1:${live.port}` } },
  };
  // JSON is YAML.
  await writeFile(join(folder.path, 'rewind.yaml'), JSON.stringify(config));
  cutter = new ArchiveCutter(await openRepository({ url: config.repository.url }), { segmentBytes: () => 40 });
  await cutter.begin('first', undefined, noon - 60_000);
  const redis = await connectTo(live);
  await redis.set('user:1', 'first');
  await redis.set('other', 'kept');
  await cutter.look(live.dir, noon);
  await redis.set('user:1', 'second');
  await redis.zadd('user:2', 1, 'a');
  await cutter.look(live.dir, noon + 3_000);
  digestBefore = await dataDigest(live);
  await redis.flushall();
  await redis.set('user:1', 'after');
  await cutter.look(live.dir, noon + 1_800_000);
  redis.disconnect();
});

afterAll(async () => {
  const home = join(folder.path, 'home', 'sandbox');
  for (const name of await readdir(join(home, 'sandboxes')).catch(() => [])) {
    const { id } = JSON.parse(await readFile(join(home, 'sandboxes', name, 'sandbox.json'), 'utf8'));
    await stopSandbox(home, id);
  }
  await live?.stop();
  await folder?.remove();
});

async function rewind(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, REWIND_HOME: join(folder.path, 'home') };
  const options = { cwd: folder.path, env, timeout: 170_000 };
  return promisify(execFile)(process.execPath, [main, ...args], options)
    .then(({ stdout, stderr }) => ({ code: 0, stdout, stderr }))
    .catch(({ code, stdout, stderr }) => ({ code, stdout, stderr }));
}

const json = async (...args: string[]) => {
  const { stdout, stderr, code } = await rewind('--json', ...args);
  expect(stdout, stderr).not.toBe('');
  return { code, ...JSON.parse(stdout) };
};

test('the timeline shows what can be restored and the flush, as people and as programs read it', async () => {
  const { timelines, lagSeconds } = await json('timeline', 'orders');
  expect(lagSeconds).toBeGreaterThan(0);
  expect(timelines).toHaveLength(1);
  expect(timelines[0]).toMatchObject({ id: '1', gaps: [], from: '2026-11-20T12:00:00.000Z' });
  expect(timelines[0].destructive).toMatchObject([{ time: '2026-11-20T12:30:00.000Z', command: 'FLUSHALL' }]);
  const { stdout } = await rewind('timeline', 'orders');
  for (const line of stdout.trimEnd().split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  expect(stdout).toMatch(/FLUSHALL/);
});

test('a moment between two writes of one key, three seconds apart, gives the first; into a folder that a plain server starts from', async () => {
  const dir = join(folder.path, 'between');
  const restored = await json(
    ...['restore', 'orders', '--without-temporal', '--to', '2026-11-20T13:00:01.5+01:00', '--into', dir],
  );
  expect(restored).toMatchObject({ code: 0, verified: true, keys: { restored: 2 }, moment: { timeline: 1 } });
  const server = await startRedis({ dir, config: { appendonly: 'yes' } });
  const redis = await connectTo(server);
  expect(await redis.mget('user:1', 'other', 'user:2')).toEqual(['first', 'kept', null]);
  redis.disconnect();
  await server.stop();
  // A server has written to it since.
  const again = await json(
    ...['restore', 'orders', '--without-temporal', '--to', '2026-11-20T12:00:03Z', '--into', dir],
  );
  expect(again.error.code).toBe('RESTORE_DIR_NOT_EMPTY');
});

test('a time before the first base is refused with the nearest moment', async () => {
  const { code, error } = await json('restore', 'orders', '--dry-run', '--to', '2026-11-20T11:00:00Z');
  expect(code).toBe(1);
  expect(error.code).toBe('ARCHIVE_MOMENT_IN_GAP');
  expect(error.message).toMatch(/after it position 0 \(2026-11-20T12:00:00/);
});

test('before-flush into a sandbox starts natively, with all that was there', async () => {
  const plan = await json('restore', 'orders', '--dry-run', '--to', 'before-flush');
  expect(plan.plan).toMatchObject({ way: 'native', into: 'sandbox' });
  const { keys, url, verified } = await json('restore', 'orders', '--without-temporal', '--to', 'before-flush');
  expect(keys.restored).toBe(3);
  expect(verified).toBe(true);
  expect(url).toMatch(/^redis:\/\/127\.0\.0\.1:/);
});

test('only some keys as of a moment go back into the live server, beside what came since', async () => {
  const before = await json('diff', 'orders', 'before-flush', 'live');
  expect(before).toMatchObject({ changed: 1, gone: 2, added: 0 });
  const at = ['--to', 'before-flush', '--into', 'live', '--match', 'user:*', '--on-conflict', 'keep-live'];
  const done = await json('restore', 'orders', '--without-temporal', '--yes', ...at);
  expect(done).toMatchObject({ code: 0, keys: { restored: 1, kept: 1 } });
  const redis = await connectTo(live);
  expect(await redis.mget('user:1', 'other')).toEqual(['after', null]);
  expect(await redis.zrange('user:2', '0', '-1')).toEqual(['a']);
  redis.disconnect();
  // The backup that the moment became says what it is, and is never taken by itself.
  const { backups } = await json('backups', 'orders');
  expect(backups).toHaveLength(1);
  expect(backups[0]).toMatchObject({ state: 'verified', keys: 3 });
  expect(backups[0].flagged).toMatch(/as of 2026-11-20T12:00:03.000Z .* from the archive/);
  expect(digestBefore).toMatch(/^[0-9a-f]{40}$/);
});

test('the archive is proven; a segment that was damaged is named', async () => {
  const proof = await json('verify', 'orders', '--archive');
  expect(proof).toMatchObject({ code: 0, archive: { proven: true, contradictions: [] } });
  const segments = join(folder.path, 'repository', segmentsDirectory('orders', 1));
  const [name] = (await readdir(segments)).sort();
  const path = join(segments, name as string);
  const whole = await readFile(path);
  try {
    await truncate(path, whole.length - 1);
    const damaged = await json('verify', 'orders', '--archive');
    expect(damaged).toMatchObject({ code: 3, archive: { proven: false } });
    expect(damaged.archive.contradictions[0].message).toContain(name as string);
    await rm(path);
    const missing = await json('verify', 'orders', '--archive');
    expect(missing.archive.contradictions[0].code).toBe('ARCHIVE_CHAIN_BROKEN');
  } finally {
    await writeFile(path, whole);
  }
});
