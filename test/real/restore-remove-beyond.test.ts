import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { removeBeyond } from '../../restore/remove-beyond.ts';
import type { RestorePoint } from '../../restore/restore-point.ts';
import { connectTo } from '../support/dataset.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };

let folder: TemporaryFolder;
let repository: Repository;
let redis: RedisServer;

beforeAll(async () => {
  folder = await temporaryFolder('remove-beyond');
  const url = `file://${join(folder.path, 'repository')}`;
  repository = await openRepository({ url, encryption: { sse: 'none' } } as Parameters<typeof openRepository>[0]);
  redis = await startRedis();
});
afterAll(async () => {
  await redis?.stop();
  await folder?.remove();
});

test('what is live and not in the backup goes, by name in a file first; what only expired in there stays', async () => {
  const live = await connectTo(redis);
  await live.mset('kept', 1, 'soon', 1);
  await live.pexpire('soon', 300_000);
  await live.save();
  const path = join(redis.dir, 'dump.rdb');
  const { size: sizeBytes } = await stat(path);
  await repository.putFile('restores/orders/now.rdb', { path }, { sizeBytes });
  const sha256 = createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
  const point = { id: 'now', dumpKey: 'restores/orders/now.rdb', sizeBytes, sha256 } as RestorePoint;
  await live.set('soon', 'written again');
  await live.eval("for i = 1, 1200 do redis.call('SET', 'beyond:' .. i, i) end", 0);
  await live.select(3);
  await live.set('kept', 'in another database');

  const context = { target: { url: redis.url }, repository, home: folder.path } as unknown as InstanceContext;
  const subject = { instance: 'orders', policyDigest: '', restoreId: 'a-restore' };
  const { keys, file } = await removeBeyond(context, subject, point, io);
  expect(keys).toBe(1_201);
  const names = String(await repository.readSmall(file!, 100_000))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(names).toHaveLength(1_201);
  expect(names).toContainEqual({ db: 3, key: 'kept' });
  expect(await live.dbsize()).toBe(0);
  await live.select(0);
  expect((await live.keys('*')).sort()).toEqual(['kept', 'soon']);
  expect(await removeBeyond(context, subject, point, io)).toEqual({ keys: 0 });
  live.disconnect();
});
