import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let redis: RedisServer;
let folder: TemporaryFolder;
let deployment: Deployment;

beforeAll(async () => {
  redis = await startRedis();
  await fillEveryType(redis);
  folder = await temporaryFolder('cli-adopt');
  deployment = await startDeployment({
    temporal: inject('temporal'),
    config: {
      repository: { url: pathToFileURL(join(folder.path, 'repository')).href },
      instances: { orders: { url: `redis://127.0.0.1:${redis.port}` } },
    },
  });
});

afterAll(async () => {
  await deployment?.stop();
  await redis?.stop();
  await folder?.remove();
});

test('a name without backups has nobody to take it from', async () => {
  const { code, stdout } = await deployment.cli('adopt', 'orders');
  expect(code).toBe(0);
  expect(stdout).toContain('has no backup yet');
});

test('another server under the name is refused and found by check, until a person adopts it', async () => {
  const first = await deployment.backup('orders');
  expect(first.backup.state).toBe('verified');

  // A new machine: the server's data and what the agent knew of it are gone.
  await deployment.kill9('host');
  const { port } = redis;
  await redis.stop();
  redis = await startRedis({ port });
  const live = await connectTo(redis);
  await live.set('other', 'data');
  live.disconnect();
  await rm(join(deployment.home('host'), 'host', 'identity'), { recursive: true });
  await deployment.start('host');

  await expect(deployment.backup('orders')).rejects.toMatchObject({
    cause: { cause: { type: 'IDENTITY_REFUSED' } },
  });
  const check = await deployment.cli('check', 'orders', '--json');
  const { findings } = JSON.parse(check.stdout).instances.orders;
  expect(findings[0]).toMatchObject({ code: 'IDENTITY_REFUSED', severity: 'error', fix: 'rewind adopt orders' });

  const adopted = await deployment.cli('adopt', 'orders', '--json');
  expect(adopted.code).toBe(0);
  expect(JSON.parse(adopted.stdout)).toMatchObject({ instance: 'orders', address: `127.0.0.1:${port}` });
  const second = await deployment.backup('orders');
  expect(second.backup).toMatchObject({ state: 'verified', keys: 1, flagged: expect.any(String) });
  const listed = JSON.parse((await deployment.cli('backups', 'orders', '--json')).stdout).backups;
  expect(listed.map(({ id }: { id: string }) => id)).toEqual([second.backup.id, first.backup.id]);
});
