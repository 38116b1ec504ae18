import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BackupName, backupDirectory } from '../../repository/layout.ts';
import { openRepository } from '../../repository/open.ts';
import { publishManifest } from '../../repository/publish.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { backupAt, manifestOf } from '../support/manifests.ts';
import { type RedisServer, randomPassword, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

let folder: TemporaryFolder;
let server: RedisServer;
let older: BackupName;
let newer: BackupName;

beforeAll(async () => {
  folder = await temporaryFolder('diff-command');
  server = await startRedis({ password: randomPassword() });
  const config = {
    repository: { url: `file://${folder.path}/repository` },
    instances: { orders: { url: `redis://127.0.0.1:${server.port}`, password: { env: 'ORDERS_PASSWORD' } } },
  };
  // JSON is YAML.
  await writeFile(join(folder.path, 'rewind.yaml'), JSON.stringify(config));
  const redis = await connectTo(server);
  try {
    await fillEveryType(server);
    await redis.set('goes', 'value');
    older = await store(1);
    await redis.set('new', 'value');
    await redis.del('goes');
    newer = await store(2);
    await redis.set('newest', 'value');
  } finally {
    redis.disconnect();
  }
});

afterAll(async () => {
  await server?.stop();
  await folder?.remove();
});

/** Saves, and stores it as a backup of that hour. */
async function store(hour: number): Promise<BackupName> {
  const redis = await connectTo(server);
  await redis.save().finally(() => redis.disconnect());
  const name = backupAt(hour);
  const dump = await readFile(join(server.dir, 'dump.rdb'));
  const directory = join(folder.path, 'repository', backupDirectory(name));
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'dump.rdb'), dump);
  await writeFile(join(directory, 'server.json'), '{}');
  const repository = await openRepository({ url: `file://${folder.path}/repository` });
  const at = `2026-11-01T0${hour}:00:00Z`;
  await publishManifest(repository, manifestOf(name, dump, { save: { startedAt: at, endedAt: at } }));
  return name;
}

async function rewind(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, REWIND_HOME: join(folder.path, 'home'), ORDERS_PASSWORD: server.password };
  const options = { cwd: folder.path, env, timeout: 120_000 };
  return promisify(execFile)(process.execPath, [main, ...args], options)
    .then(({ stdout, stderr }) => ({ code: 0, stdout, stderr }))
    .catch(({ code, stdout, stderr }) => ({ code, stdout, stderr }));
}

test('between two backups: counts at 80 columns, names in a file, without Temporal, nothing else left behind', async () => {
  const { code, stdout, stderr } = await rewind('diff', 'orders', older.backupId, 'latest');
  expect(stderr).not.toMatch(/safe:/);
  expect(code).toBe(0);
  const lines = stdout.trimEnd().split('\n');
  expect(lines[0]).toBe(`orders: from ${older.backupId} to ${newer.backupId}`);
  expect(lines[1]).toMatch(/ADDED +GONE +CHANGED +EXPIRED +SAME/);
  expect(lines[2]).toMatch(/^db0 +1 +1 +0 +0 +\d/);
  const path = lines.at(-1)!.trim();
  for (const line of lines.slice(0, -1)) expect(line.length).toBeLessThanOrEqual(80);
  const names = (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(names).toEqual(
    expect.arrayContaining([
      { db: 0, key: 'new', change: 'added' },
      { db: 0, key: 'goes', change: 'gone' },
    ]),
  );
  expect(names).toHaveLength(2);
  expect((await readdir(join(folder.path, 'home', 'diff'))).filter((name) => !name.endsWith('.jsonl'))).toEqual([]);
});

test('with the live server, as one JSON document', async () => {
  const { code, stdout } = await rewind('diff', 'orders', 'latest', 'live', '--json');
  expect(code).toBe(0);
  const document = JSON.parse(stdout);
  expect(document).toMatchObject({
    instance: 'orders',
    a: { id: newer.backupId },
    b: { id: 'live', at: expect.stringMatching(/^\d{4}-.*Z$/) },
    added: 1,
    gone: 0,
    changed: 0,
    byDatabase: { 0: { added: 1 } },
  });
  expect(document.same).toBeGreaterThan(5);
  expect(await readFile(document.names, 'utf8')).toBe('{"db":0,"key":"newest","change":"added"}\n');
});

test('two times the same side, and one that is no backup, are refused before anything is read', async () => {
  expect(await rewind('diff', 'orders', 'live', 'live')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/DIFF_SIDES/),
  });
  const same = await rewind('diff', 'orders', newer.backupId, 'latest');
  expect(same).toMatchObject({ code: 2, stderr: expect.stringMatching(/DIFF_SIDES/) });
  expect(await rewind('diff', 'orders', 'yesterday', 'live')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/RESTORE_INPUT/),
  });
  const unknown = await rewind('diff', 'orders', '20200101T000000Z-abcdef', 'live');
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringMatching(/BACKUP_UNKNOWN/) });
});

test('a dump that has changed in the store is no side of a diff', async () => {
  const rotten = await store(3);
  const path = join(folder.path, 'repository', backupDirectory(rotten), 'dump.rdb');
  const bytes = await readFile(path);
  bytes[40]! ^= 1;
  await writeFile(path, bytes);
  const { code, stderr } = await rewind('diff', 'orders', rotten.backupId, 'live');
  expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringMatching(/STAGED_DUMP_DIFFERS/) });
  expect((await readdir(join(folder.path, 'home', 'diff'))).filter((name) => !name.endsWith('.jsonl'))).toEqual([]);
});
