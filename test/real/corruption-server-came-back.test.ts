import { createHash } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { expect, onTestFinished, test } from 'vitest';
import { corruptionActivities } from '../../activities/corruption.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { serviceBeside } from '../../incident/crash/crash-site.ts';
import { withRedis } from '../../redis/connection.ts';
import { freePort } from '../support/free-port.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('a server that somebody brought back while the gate waited is not stopped over a choice that did not know of it', async () => {
  const own = await temporaryFolder('came-back');
  onTestFinished(() => own.remove());
  const [dir, from] = [join(own.path, 'server'), join(own.path, 'built')];
  for (const folder of [dir, from]) await mkdir(folder);
  await writeFile(join(from, 'dump.rdb'), 'what was built');
  const sha256 = createHash('sha256').update('what was built').digest('hex');
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', ''];
  const target = { url: `redis://127.0.0.1:${port}` };
  const context = {
    policy: { instance: 'orders' },
    target,
    home: join(own.path, 'home'),
    host: { service: { process: { args } } },
  } as unknown as InstanceContext;
  const io = { signal: new AbortController().signal, onProgress: () => undefined };
  await serviceBeside(context)?.start(io);
  onTestFinished(() =>
    withRedis(target, async (redis) => redis.call('SHUTDOWN', 'NOSAVE')).then(
      () => undefined,
      () => undefined,
    ),
  );
  await withRedis(target, (redis) => redis.set('written', 'since'));

  const { swapIn } = corruptionActivities(async () => context, {} as LoadedConfig);
  const subject = { instance: 'orders', policyDigest: '', restoreId: 'one' };
  const files = [{ path: 'dump.rdb', sizeBytes: 14, sha256 }];
  const built = { choice: 'salvage', dir: from, files, notes: [] };
  const swapping = new MockActivityEnvironment().run(swapIn, subject, built, false);
  await expect(swapping).rejects.toMatchObject({ type: 'RESTORE_SERVER_RUNNING' });
  expect(await withRedis(target, (redis) => redis.get('written'))).toBe('since');
  expect(await readdir(dir)).toEqual([]);
});
