import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ScheduledBackupResult } from '../../workflows/scheduled-backup.ts';
import { fillEveryType, fillMegabytes, slowSaves, untilSaving } from '../support/dataset.ts';
import { failureOf } from '../support/failure-of.ts';
import { lookAround } from '../support/left-as-found.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { startRedis } from '../support/servers.ts';
import { storeGate } from '../support/store-gate.ts';

const MEGABYTES = 24;

describe.concurrent('a backup that a person cancels', () => {
  let proxy: S3FaultProxy;
  let on: S3Deployment;

  beforeAll(async () => {
    const servers = {
      saving: await startRedis(),
      storing: await startRedis({ config: { rdbcompression: 'no' } }),
      proving: await startRedis(),
      'publishing-before': await startRedis(),
      'publishing-after': await startRedis(),
    };
    await Promise.all([
      fillEveryType(servers.saving),
      fillMegabytes(servers.storing, MEGABYTES),
      fillEveryType(servers.proving),
      fillEveryType(servers['publishing-before']),
      fillEveryType(servers['publishing-after']),
    ]);
    proxy = await startS3FaultProxy(inject('minio').endpoint);
    on = await startOnS3({ servers, endpoint: proxy.endpoint });
  });
  afterAll(async () => {
    await on?.stop();
    await proxy?.stop();
  });

  async function cancelledLeavesNothing(instance: string, inItsMidst: () => Promise<void>, after = () => {}) {
    const around = await lookAround(on.scene(instance));
    const run = await on.deployment.startBackup(instance);
    await inItsMidst();
    await run.cancel();
    after();
    expect(await failureOf(run)).toMatchObject({ code: 'CANCELLED' });
    expect((await run.describe()).status.name).toBe('CANCELLED');
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  }

  it('while Redis saves: nothing is left', async () => {
    const { redis } = on.scene('saving');
    await cancelledLeavesNothing('saving', async () => {
      await slowSaves(redis, 3);
      await untilSaving(redis);
      await slowSaves(redis, 0);
    });
  });

  it('while the dump is uploaded: its parts are removed, and none comes in later', async () => {
    // The second part is on its way while the clean-up begins.
    const gate = storeGate(/\/storing\/.*partNumber=2/);
    proxy.fail('UploadPart', gate.fault);
    await cancelledLeavesNothing('storing', () => gate.reached, gate.open);
  });

  it('while the dump is downloaded to be proven: neither the sandbox nor the store keeps it', async () => {
    const gate = storeGate(/\/proving\/.*dump\.rdb/);
    proxy.fail('GetObject', gate.fault);
    await cancelledLeavesNothing('proving', () => gate.reached, gate.open);
  });

  it.for(['before', 'after'] as const)(
    'while its manifest is written (%s the store has it): it is a whole backup',
    async (held) => {
      const instance = `publishing-${held}`;
      const around = await lookAround(on.scene(instance));
      const gate = storeGate(/manifest\.json/, held);
      proxy.fail('PutObject', gate.fault, { key: `/${instance}/` });
      const run = await on.deployment.startBackup(instance);
      await gate.reached;
      await run.cancel();
      // A clean-up that does not wait for the step would take the dump away from under the manifest.
      await sleep(1_000);
      gate.open();
      const { backup } = (await run.result()) as ScheduledBackupResult;
      const listed = await on.deployment.cli('backups', instance, '--json');
      expect(JSON.parse(listed.stdout).backups).toEqual([
        expect.objectContaining({ id: backup.id, state: 'verified' }),
      ]);
      await around.nothingIsLeft();
      await around.nextRunSucceeds();
    },
  );
});
