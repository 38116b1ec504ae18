import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { probeActivities, sandboxActivities } from '../../activities/check.ts';
import { openRepository } from '../../repository/open.ts';
import { findServers } from '../../sandbox/servers.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { type RedisServer, redisBinary, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const temporal = inject('temporal');
let redis: RedisServer;
let folder: TemporaryFolder;
let deployment: Deployment;

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  redis = await startRedis({ config: { appendonly: 'yes' } });
  folder = await temporaryFolder('check-folders');
  deployment = await startDeployment({
    temporal,
    roles: ['orchestrator', 'host'],
    config: {
      repository: { url: pathToFileURL(join(folder.path, 'repository')).href },
      instances: { orders: { url: `redis://127.0.0.1:${redis.port}`, host: { sandbox: true } } },
    },
  });
});

afterAll(async () => {
  await deployment?.stop();
  await redis?.stop();
  await folder?.remove();
});

/** A sandbox whose `file://` folder is this one, as on a machine where nothing is mounted at the configured place. */
async function withSandboxOn(path: string, use: () => Promise<void>): Promise<void> {
  const connection = await NativeConnection.connect({ address: temporal.address });
  const repository = await openRepository({ url: pathToFileURL(path).href });
  const servers = await findServers([redisBinary()]);
  const settings = { workRoot: join(folder.path, 'proofs'), servers, maxMemoryBytes: 1e9, sampleKeys: 10 };
  const worker = await Worker.create({
    connection,
    namespace: deployment.client.options.namespace,
    taskQueue: 'rewind-sandbox',
    activities: { ...sandboxActivities(settings), ...probeActivities(async () => repository) },
  });
  await worker.runUntil(use());
  await connection.close();
}

async function found(): Promise<{ code: string; consequence: string; fix: string }[]> {
  const { stdout } = await deployment.cli('check', 'orders', '--json');
  return JSON.parse(stdout).instances.orders.findings;
}

test('a sandbox with another folder under the same address is found, and not when it is the same one', async () => {
  await withSandboxOn(join(folder.path, 'elsewhere'), async () => {
    const finding = (await found()).find(({ code }) => code === 'REPOSITORY_NOT_SHARED');
    expect(finding?.consequence).toMatch(/^The sandbox does not see what was stored in file:\/\/\//);
    expect(finding?.fix).toContain('mount one shared folder');
  });
  await withSandboxOn(join(folder.path, 'repository'), async () => {
    expect((await found()).map(({ code }) => code)).not.toContain('REPOSITORY_NOT_SHARED');
  });
});

test('a folder on the disk that Redis saves to is found', async () => {
  expect((await found()).map(({ code }) => code)).toEqual(
    expect.arrayContaining(['REPOSITORY_ON_REDIS_DISK', 'STORE_NOT_ENCRYPTED', 'SANDBOX_SILENT']),
  );
});
