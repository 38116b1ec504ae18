import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { freePort } from '../../process/free-port.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const temporal = inject('temporal');
let redis: RedisServer;
let folder: TemporaryFolder;
let deployment: Deployment;
let config: Parameters<Deployment['writeConfig']>[0];

beforeAll(async () => {
  redis = await startRedis();
  await fillEveryType(redis);
  folder = await temporaryFolder('cli-status');
  config = {
    repository: { url: pathToFileURL(join(folder.path, 'repository')).href },
    instances: {
      orders: { url: `redis://127.0.0.1:${redis.port}`, objectives: { rpo: '10m', rto: '1m' } },
      pages: { url: `redis://127.0.0.1:${redis.port}`, dataClass: 'cache' },
    },
  };
  deployment = await startDeployment({ temporal, config });
});

afterAll(async () => {
  await deployment?.stop();
  await redis?.stop();
  await folder?.remove();
});

async function status(...args: string[]) {
  const { code, stdout, stderr } = await deployment.cli('status', '--json', ...args);
  return { code, document: JSON.parse(stdout), stderr };
}

test('nothing proven is said, with no figure made up, and ends with 3; a cache needs none', async () => {
  const { code, document } = await status();
  expect(code).toBe(3);
  expect(document.temporal).toEqual({
    address: temporal.address,
    namespace: deployment.client.options.namespace,
    reachable: true,
  });
  expect(document.instances.orders).toEqual({
    rpo: { objectiveSeconds: 600, met: false },
    running: [],
    waiting: [],
    fences: [],
  });
  expect((await status('pages')).code).toBe(0);
  const text = await deployment.cli('status', 'orders');
  expect(text.stdout).toContain('RPO now       nothing is proven, objective 10 min: NOT MET');
});

test('a verified backup is the RPO, its proof the RTO, and both are met', async () => {
  const { backup } = await deployment.backup('orders');
  const before = Date.now();
  const { code, document } = await status('orders');
  const { rpo, rto, lastBackup } = document.instances.orders;
  expect(lastBackup).toMatchObject({ id: backup.id, state: 'verified', keys: backup.keys });
  expect(rpo).toMatchObject({ objectiveSeconds: 600, met: true });
  const ageAt = (ms: number) => (ms - Date.parse(lastBackup.time)) / 1000;
  expect(rpo.seconds).toBeGreaterThanOrEqual(Math.floor(ageAt(before)));
  expect(rpo.seconds).toBeLessThanOrEqual(Math.ceil(ageAt(Date.now())));
  expect(rto).toMatchObject({ objectiveSeconds: 60, met: true });
  expect(rto.seconds).toBeGreaterThan(0);
  expect(code).toBe(0);
});

test('a run is found by its search attribute, whatever its id, with the step that it waits at', async () => {
  await deployment.kill9('host');
  const handle = await deployment.client.workflow.start('scheduledBackup', {
    taskQueue: 'rewind',
    workflowId: 'an-id-that-names-nobody',
    args: [{ instance: 'orders' }],
  });
  const running = async () => (await status('orders')).document.instances.orders.running;
  await expect.poll(async () => (await running())[0]?.steps, { timeout: 30_000 }).toEqual(['preflight']);
  expect(await running()).toEqual([
    {
      workflowId: 'an-id-that-names-nobody',
      runId: handle.firstExecutionRunId,
      type: 'scheduledBackup',
      startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      phase: 'saving',
      steps: ['preflight'],
      backupId: expect.stringMatching(/^\d{8}T\d{6}Z-/),
    },
  ]);
  expect((await status('pages')).document.instances.pages.running).toEqual([]);
  const text = await deployment.cli('status', 'orders');
  expect(text.stdout).toMatch(/running {7}an-id-that-names-nobody\n {16}saving, preflight/);
  await deployment.start('host');
  await handle.result();
});

test('a backup that is flagged wants attention, though the RPO is met', async () => {
  const live = await connectTo(redis);
  await live.flushall();
  live.disconnect();
  const { backup } = await deployment.backup('orders');
  expect(backup).toMatchObject({ state: 'verified', keys: 0 });
  const { code, document } = await status('orders');
  expect(document.instances.orders).toMatchObject({ rpo: { met: true }, lastBackup: { flagged: expect.any(String) } });
  expect(code).toBe(3);
});

test('with Temporal down the repository alone answers, and what runs is said to be unknown', async () => {
  const elsewhere = join(folder.path, 'elsewhere.yaml');
  await writeFile(elsewhere, JSON.stringify({ ...config, temporal: { address: `127.0.0.1:${await freePort()}` } }));
  const { document, stderr } = await status('--config', elsewhere, 'orders');
  expect(document.temporal.reachable).toBe(false);
  expect(document.instances.orders.lastBackup.state).toBe('verified');
  expect(document.instances.orders.rpo.met).toBe(true);
  expect(stderr.replaceAll(/\s+/g, ' ')).toContain('What runs is not known; the rest is from the repository.');
});

test('status, plan and backups change nothing: neither in the repository nor in Temporal', async () => {
  const runs = async () => (await deployment.client.workflow.count()).count;
  const before = await runs();
  for (const command of [['status'], ['plan'], ['backups', 'orders']]) await deployment.cli(...command);
  expect(await runs()).toBe(before);
});
