import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRepository } from '../../repository/open.ts';
import { ArchiveCutter } from '../support/archive-cutter.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const withAof = { ...debugAllowed(), appendonly: 'yes', appendfsync: 'always', 'aof-disable-auto-gc': 'yes' };

describe('an instance with an archive, and no backup at all', { timeout: 400_000 }, () => {
  let folder: TemporaryFolder;
  let redis: RedisServer;
  let on: S3Deployment;
  let digest: string;

  beforeAll(async () => {
    folder = await temporaryFolder('archive-runbook');
    redis = await startRedis({ config: withAof });
    await fillEveryType(redis);
    on = await startOnS3({ servers: { orders: redis } });
    Object.assign(process.env, on.store.env);
    const { repository } = on.config;
    const cutter = new ArchiveCutter(await openRepository(repository as Parameters<typeof openRepository>[0]));
    await cutter.begin('first');
    digest = await dataDigest(redis);
    const live = await connectTo(redis);
    await live.flushall();
    await live.set('came:since', 'stays');
    live.disconnect();
    await cutter.look(redis.dir);
  }, 400_000);
  afterAll(async () => {
    await on?.stop();
    await folder?.remove();
  });

  const run = (type: string, input: object) =>
    on.deployment.client.workflow.start(type, {
      taskQueue: 'rewind',
      workflowId: `${type}/${JSON.stringify(input)}`,
      args: [{ instance: 'orders', ...input }],
    });

  it('is laid down in a folder by the agent, after a server of the sandbox has started from it', async () => {
    const dir = join(folder.path, 'laid');
    const restored = await (await run('restoreToPoint', { to: 'before-flush', into: dir })).result();
    expect(restored).toMatchObject({ verified: true, into: dir, moment: { timeline: 1 } });
    const server = await startRedis({ dir, config: { ...debugAllowed(), appendonly: 'yes' } });
    expect(await dataDigest(server)).toBe(digest);
    await server.stop();
  });

  it('gets everything back after a flush but the flush: what came since stays', async () => {
    const recovering = await run('recoverAccidentalFlush', { onConflict: 'replay' });
    const waiting = await untilAsked(recovering, 'waiting-for-approval', 240_000);
    // Nobody writes this archive any more: what came after the flush may be missing there, and so there is no replay.
    expect(waiting.gate?.choices.map(({ id }) => id)).toEqual(['keep-live', 'take-backup']);
    expect(waiting.gate?.summary).toMatch(/replay\) is not possible:\*\* The archive of orders ends at position \d+/);
    expect(waiting.gate?.default).toBeUndefined();
    await approve(recovering, waiting, 'keep-live');
    expect(await recovering.result()).toMatchObject({ recovered: true, keys: { replaced: 0 } });
    const live = await connectTo(redis);
    expect(await live.get('came:since')).toBe('stays');
    await live.del('came:since');
    live.disconnect();
    expect(await dataDigest(redis)).toBe(digest);
  });
});
