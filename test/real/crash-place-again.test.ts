import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { serviceBeside } from '../../incident/crash/crash-site.ts';
import { placeDump, startNode } from '../../incident/crash/start-node.ts';
import { freePort } from '../../process/free-port.ts';
import { withRedis } from '../../redis/connection.ts';
import { archiveContext } from '../support/archive.ts';
import { connectTo } from '../support/dataset.ts';
import { startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
const version = { name: 'redis', version: '7.0.15' } as const;

let folder: TemporaryFolder;
let context: InstanceContext;
let dump: { path: string; sha256: string };

beforeEach(async () => {
  folder = await temporaryFolder('crash-place-again');
  const dir = join(folder.path, 'data');
  await mkdir(dir);
  const port = await freePort();
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', dir, '--save', '3600 1'];
  const folders = { home: join(folder.path, 'home'), repository: join(folder.path, 'store') };
  const known = await archiveContext({ url: `redis://127.0.0.1:${port}` }, folders);
  context = { ...known, host: { service: { process: { args } } } as unknown as InstanceContext['host'] };
  const source = await startRedis();
  const redis = await connectTo(source);
  await redis.set('in the backup', '1');
  await redis.save();
  redis.disconnect();
  const path = join(source.dir, 'dump.rdb');
  const bytes = await readFile(path);
  await writeFile(join(folder.path, 'dump.rdb'), bytes);
  dump = { path: join(folder.path, 'dump.rdb'), sha256: createHash('sha256').update(bytes).digest('hex') };
  await source.stop();
});
afterEach(async () => {
  await serviceBeside(context, undefined)?.stop(io, { lastSave: 'never' });
  await folder.remove();
});

const live = <T>(ask: Parameters<typeof withRedis<T>>[1]) => withRedis(context.target, ask);

test('what was written since a placed backup was started on stays, when the same step is made again', async () => {
  const restoreId = randomUUID();
  await placeDump(context, { ...dump, restoreId }, version, io);
  await startNode(context, version, { mayBeEmpty: false }, io);
  await live((redis) => redis.set('written since', '1'));
  await placeDump(context, { ...dump, restoreId }, version, io);
  expect(await live((redis) => redis.exists('in the backup', 'written since'))).toBe(2);
});

test('another restore of the same backup is placed, and the server on other files stopped for it', async () => {
  await placeDump(context, { ...dump, restoreId: randomUUID() }, version, io);
  await startNode(context, version, { mayBeEmpty: false }, io);
  await live((redis) => redis.set('damaged since', '1'));
  await placeDump(context, { ...dump, restoreId: randomUUID() }, version, io);
  await startNode(context, version, { mayBeEmpty: false }, io);
  expect(await live((redis) => redis.exists('in the backup', 'damaged since'))).toBe(1);
});
