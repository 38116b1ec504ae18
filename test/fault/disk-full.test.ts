import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectTo, fillMegabytes } from '../support/dataset.ts';
import { failureOf } from '../support/failure-of.ts';
import { lookAround } from '../support/left-as-found.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { cannotMount, type SmallDisk, smallDisk } from '../support/small-disk.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const reason = cannotMount();

/** Room for Redis' log and for the dump, none for the pin's folder and the pin. */
const INODES = 4;

describe.skipIf(reason)(`the disk that Redis saves to is full${reason ? ` (skipped: ${reason})` : ''}`, () => {
  let disks: Record<'save' | 'pin', SmallDisk>;
  let servers: Record<'save' | 'pin', RedisServer>;
  let on: S3Deployment;
  let logs: TemporaryFolder;

  beforeAll(async () => {
    disks = { save: await smallDisk({ size: '12m' }), pin: await smallDisk({ size: '12m', inodes: INODES }) };
    logs = await temporaryFolder('logs');
    const config = { rdbcompression: 'no', save: '3600 1000000' };
    servers = {
      // Its log is elsewhere: on the full disk it could not say why a save failed.
      save: await startRedis({ dir: disks.save.path, config: { ...config, logfile: join(logs.path, 'redis.log') } }),
      pin: await startRedis({ dir: disks.pin.path, config }),
    };
    await Promise.all([fillMegabytes(servers.save, 16), fillMegabytes(servers.pin, 2)]);
    on = await startOnS3({ servers });
  });
  afterAll(async () => {
    await on?.stop();
    await Promise.all([logs, ...Object.values(disks ?? {})].map((each) => each?.remove()));
  });

  it('during the save: it fails and stops writes; with room again the next backup goes on and clears that', async () => {
    const around = await lookAround(on.scene('save'));
    const live = await connectTo(servers.save);
    const failure = await failureOf(await on.deployment.startBackup('save'));
    expect(failure).toMatchObject({ code: 'SAVE_FAILED' });
    await around.nothingIsLeft();
    await expect(live.set('a', 'write')).rejects.toThrow('MISCONF');

    disks.save.grow({ size: '64m' });
    const next = await on.deployment.startBackup('save');
    expect(await next.result()).toMatchObject({ backup: { state: 'verified' } });
    const { currentDetails } = await next.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    expect(currentDetails).toMatch(/last save failed \(.*No space left on device\)/);
    expect(await live.set('a', 'write')).toBe('OK');
    await around.nothingIsLeft();
    live.disconnect();
  });

  it('before the save: a dump that cannot fit beside the last one is refused, and writes go on', async () => {
    const around = await lookAround(on.scene('save'));
    disks.save.grow({ size: '24m' });
    const failure = await failureOf(await on.deployment.startBackup('save'));
    expect(failure).toMatchObject({ code: 'PREFLIGHT_REFUSED', message: expect.stringContaining('bytes free') });
    const live = await connectTo(servers.save);
    expect(await live.set('a', 'write')).toBe('OK');
    live.disconnect();
    await around.nothingIsLeft();
    disks.save.grow({ size: '64m' });
    await around.nextRunSucceeds();
  });

  it('when the dump is to be pinned: the run says so and keeps nothing', async () => {
    const around = await lookAround(on.scene('pin'));
    const failure = await failureOf(await on.deployment.startBackup('pin'));
    expect(failure).toMatchObject({ code: 'DISK_FULL' });
    await around.nothingIsLeft();
    disks.pin.grow({ size: '12m' });
    await around.nextRunSucceeds();
  });
});
