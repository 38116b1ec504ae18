import { existsSync, statSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ScheduledBackupResult } from '../../workflows/scheduled-backup.ts';
import { fillMegabytes } from '../support/dataset.ts';
import { stepsOf, untilStep } from '../support/run-steps.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

/** A pin's folder on another file system: no hard link can be made, as where Redis' dump belongs to another user. */
const otherDisk =
  existsSync('/dev/shm') && statSync('/dev/shm').dev !== statSync(tmpdir()).dev ? '/dev/shm' : undefined;

describe.skipIf(!otherDisk)('a dump that may only be held open', () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let folder: string;

  beforeAll(async () => {
    redis = await startRedis({ config: { rdbcompression: 'no' } });
    await fillMegabytes(redis, 20);
    folder = await mkdtemp(join(otherDisk as string, 'rewind-test-pin-'));
    await symlink(folder, join(redis.dir, '.rewind'));
    on = await startOnS3({
      servers: { orders: redis },
      instance: () => ({ limits: { uploadBytesPerSecond: 6_000_000 } }),
    });
  });
  afterAll(async () => {
    await on?.stop();
    if (folder) await rm(folder, { recursive: true });
  });

  it('its agent is killed -9 while it is uploaded, and the descriptor with it: another save is taken and verified', async () => {
    const run = await on.deployment.startBackup('orders');
    await untilStep(on.deployment.client, run, 'upload');
    await on.deployment.kill9('host');
    await on.deployment.start('host');
    const { backup } = (await run.result()) as ScheduledBackupResult;
    expect(backup).toMatchObject({ state: 'verified', keys: 20 * 1024 });
    expect((await stepsOf(run)).filter(({ step }) => step === 'bgsave')).toHaveLength(2);
    expect((await on.deployment.backup('orders')).backup.state).toBe('verified');
  });
});
