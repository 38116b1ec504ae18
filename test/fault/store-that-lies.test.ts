import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillEveryType } from '../support/dataset.ts';
import { failureOf } from '../support/failure-of.ts';
import { lookAround } from '../support/left-as-found.ts';
import { stepsOf } from '../support/run-steps.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { storeGate } from '../support/store-gate.ts';
import { missingVersitygw, startVersitygw, type Versitygw } from '../support/versitygw.ts';

const reason = missingVersitygw();

/** versitygw keeps objects as plain files, and takes aws:kms for an answer without encrypting anything. */
describe.skipIf(reason)(`a store that lies${reason ? ` (skipped: ${reason})` : ''}`, () => {
  let store: Versitygw;
  let proxy: S3FaultProxy;
  let redis: RedisServer;
  let on: S3Deployment;

  beforeAll(async () => {
    [store, redis] = await Promise.all([startVersitygw(), startRedis()]);
    await fillEveryType(redis);
    proxy = await startS3FaultProxy(store.endpoint);
    on = await startOnS3({
      servers: { orders: redis },
      store,
      endpoint: proxy.endpoint,
      encryption: { sse: 'none' },
    });
  });
  afterAll(async () => {
    await on?.stop();
    await Promise.all([proxy?.stop(), store?.stop()]);
  });

  /** Who plans a backup and who stores it read the encryption. */
  async function restartWith(env: NodeJS.ProcessEnv = {}): Promise<void> {
    for (const role of ['orchestrator', 'host'] as const) {
      await on.deployment.kill9(role);
      await on.deployment.start(role, env);
    }
  }

  it('ignores the encryption: the run ends before anything is saved, and leaves nothing unencrypted', async () => {
    const around = await lookAround(on.scene('orders'));
    const encryption = { sse: 'aws:kms' as const, kmsKeyId: 'a-key' };
    await restartWith({
      REWIND_CONFIG: await on.deployment.writeConfig({
        ...on.config,
        repository: { ...on.config.repository, encryption },
      }),
    });
    const run = await on.deployment.startBackup('orders');
    expect(await failureOf(run)).toMatchObject({ code: 'ENCRYPTION_IGNORED' });
    expect((await stepsOf(run)).map(({ step }) => step)).not.toContain('bgsave');
    expect(await filesOf('redis')).toEqual([]);
    await around.nothingIsLeft();

    await restartWith();
    await around.nextRunSucceeds();
  });

  it('flips a bit after the check: the proof finds it, the backup is kept under failed/ and never restorable', async () => {
    const around = await lookAround(on.scene('orders'));
    const gate = storeGate(/dump\.rdb/);
    proxy.fail('GetObject', gate.fault);
    const run = await on.deployment.startBackup('orders');
    await gate.reached;
    const id = await backupUnderWay();
    await flipABit(join(store.dataDir, store.bucket, id.path, 'dump.rdb'));
    gate.open();
    expect(await failureOf(run)).toMatchObject({
      code: 'BACKUP_CONTRADICTED',
      message: expect.stringContaining('SHA-256 differs'),
    });

    const state = async (...more: string[]) => {
      const { stdout } = await on.deployment.cli('backups', 'orders', '--json', ...more);
      const { backups } = JSON.parse(stdout) as { backups: { id: string; state: string }[] };
      return backups.find((backup) => backup.id === id.name)?.state;
    };
    expect(await state()).toBeUndefined();
    expect(await state('--all')).toBe('failed');
    expect(await filesOf(`redis/failed`)).toContain(`${id.path.replace('redis/', '')}/dump.rdb`);
    expect(await filesOf(id.path)).toEqual([]);
    const verify = await on.deployment.cli('verify', 'orders', id.name);
    expect(verify.code).toBe(1);
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });

  const filesOf = (path: string) =>
    readdir(join(store.dataDir, store.bucket, path), { recursive: true }).catch(() => [] as string[]);

  /** The one that has a dump and no manifest. */
  async function backupUnderWay(): Promise<{ name: string; path: string }> {
    const files = await filesOf('redis');
    const directories = files
      .filter((file) => file.endsWith('/dump.rdb'))
      .map((file) => file.slice(0, -'/dump.rdb'.length));
    const [directory = ''] = directories.filter((each) => !files.includes(`${each}/manifest.json`));
    return { name: directory.split('/').at(-1) as string, path: `redis/${directory}` };
  }
});

async function flipABit(path: string): Promise<void> {
  const file = await open(path, 'r+');
  const middle = Math.floor((await file.stat()).size / 2);
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, middle);
  byte.writeUInt8(byte.readUInt8() ^ 1);
  await file.write(byte, 0, 1, middle);
  await file.close();
}
