import { readdir, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Role } from '../../workers/role.ts';
import type { ScheduledBackupResult } from '../../workflows/scheduled-backup.ts';
import { connectTo, slowSaves, untilSaving } from '../support/dataset.ts';
import { lookAround } from '../support/left-as-found.ts';
import { stepsOf, untilStep } from '../support/run-steps.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { storeGate } from '../support/store-gate.ts';

/** Enough that a proof takes longer than it takes to see its server. */
const KEYS = 20_000;

/** `upload` is given out together with `checkRdb`; killed in its midst it has a test of its own. */
const boundaries: readonly (readonly [step: string, role: Role])[] = [
  ['readPolicy', 'orchestrator'],
  ['preflight', 'host'],
  ['bgsave', 'host'],
  ['waitForBgsave', 'host'],
  ['pin', 'host'],
  ['checkRdb', 'host'],
  ['verifyUpload', 'host'],
  ['loadAndVerify', 'sandbox'],
  ['publish', 'orchestrator'],
  ['prune', 'host'],
];

describe('a worker that is killed -9 and started again', () => {
  let proxy: S3FaultProxy;
  let redis: RedisServer;
  let on: S3Deployment;

  beforeAll(async () => {
    redis = await startRedis({ config: { 'enable-debug-command': 'yes' } });
    const live = await connectTo(redis);
    await live.call('DEBUG', 'POPULATE', KEYS, 'key', 16);
    live.disconnect();
    proxy = await startS3FaultProxy(inject('minio').endpoint);
    on = await startOnS3({ servers: { orders: redis }, endpoint: proxy.endpoint });
  });
  afterAll(async () => {
    await on?.stop();
    await proxy?.stop();
  });

  async function killAndStart(role: Role): Promise<void> {
    await on.deployment.kill9(role);
    await on.deployment.start(role);
  }

  it('at every boundary between two steps: the backup is verified all the same', { timeout: 300_000 }, async () => {
    const around = await lookAround(on.scene('orders'));
    const run = await on.deployment.startBackup('orders');
    for (const [step, role] of boundaries) {
      await untilStep(on.deployment.client, run, step);
      await killAndStart(role);
    }
    const { backup } = (await run.result()) as ScheduledBackupResult;
    expect(backup).toMatchObject({ state: 'verified', keys: KEYS });
    expect((await stepsOf(run)).map(({ step }) => step)).toEqual([
      ...['readPolicy', 'preflight', 'bgsave', 'waitForBgsave', 'pin', 'checkRdb', 'upload'],
      ...['verifyUpload', 'loadAndVerify', 'publish', 'prune'],
    ]);
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });

  it('when a step has done its work and not told it: nothing is done twice', { timeout: 300_000 }, async () => {
    const around = await lookAround(on.scene('orders'));
    const before = await saves(redis);
    const upload = storeGate(/dump\.rdb/, 'after');
    const publish = storeGate(/manifest\.json/, 'after');
    proxy.fail('PutObject', upload.fault, { key: 'dump.rdb' });
    proxy.fail('PutObject', publish.fault, { key: 'manifest.json' });

    await slowSaves(redis, 3);
    const run = await on.deployment.startBackup('orders');
    await untilSaving(redis);
    await killAndStart('host');
    await upload.reached;
    await on.deployment.kill9('host');
    upload.open();
    await on.deployment.start('host');
    await untilLoading(on.deployment.home('sandbox'));
    await killAndStart('sandbox');
    await publish.reached;
    await on.deployment.kill9('orchestrator');
    publish.open();
    await on.deployment.start('orchestrator');

    const { backup } = (await run.result()) as ScheduledBackupResult;
    expect(backup).toMatchObject({ state: 'verified', keys: KEYS });
    expect(await saves(redis)).toBe(before + 1);
    const listed = JSON.parse((await on.deployment.cli('backups', 'orders', '--json')).stdout).backups;
    expect(listed.filter(({ id }: { id: string }) => id === backup.id)).toHaveLength(1);
    await slowSaves(redis, 0);
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });
});

/** How many saves Redis was asked for since it started. */
async function saves(redis: RedisServer): Promise<number> {
  const live = await connectTo(redis);
  const info = await live.info('persistence').finally(() => live.disconnect());
  return Number(/^rdb_saves:(\d+)/m.exec(info)?.[1]);
}

/** Waits until a server of the sandbox is up: it works in the folder of its proof. */
async function untilLoading(home: string): Promise<void> {
  for (;;) {
    const folders = await Promise.all(
      (await readdir('/proc')).map((pid) => (/^\d+$/.test(pid) ? readlink(`/proc/${pid}/cwd`).catch(() => '') : '')),
    );
    if (folders.some((folder) => folder.startsWith(`${home}/sandbox/proofs/`))) return;
    await sleep(10);
  }
}
