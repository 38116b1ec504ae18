import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readIdentity } from '../../repository/identity.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { ArchiveCutter } from '../support/archive-cutter.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const withAof = { ...debugAllowed(), appendonly: 'yes', appendfsync: 'always', 'aof-disable-auto-gc': 'yes' };

const patient = { timeout: 400_000 };

/** As the roles of a deployment see it. */
async function repositoryOf(on: S3Deployment): Promise<Repository> {
  Object.assign(process.env, on.store.env);
  return openRepository(on.config.repository as Parameters<typeof openRepository>[0]);
}

describe('an instance with an archive, and no backup at all', patient, () => {
  let folder: TemporaryFolder;
  let redis: RedisServer;
  let on: S3Deployment;
  let digest: string;

  beforeAll(async () => {
    folder = await temporaryFolder('archive-runbook');
    redis = await startRedis({ config: withAof });
    await fillEveryType(redis);
    on = await startOnS3({ servers: { orders: redis } });
    const cutter = new ArchiveCutter(await repositoryOf(on));
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

it(
  'a moment comes into another instance, which is offered the users and settings that a backup tells of',
  patient,
  async () => {
    const [redis, spare] = await Promise.all([startRedis({ config: withAof }), startRedis({ config: debugAllowed() })]);
    const on = await startOnS3({ servers: { orders: redis, spare } });
    try {
      await fillEveryType(redis);
      const live = await connectTo(redis);
      await live.call('ACL', 'SETUSER', 'app', 'on', '>a-password', '~*', '+get');
      await on.deployment.backup('orders');
      await live.set('since', 'the backup');
      const digest = await dataDigest(redis);
      await live.flushall();
      live.disconnect();
      const repository = await repositoryOf(on);
      const { id: identity } = (await readIdentity(repository, 'orders'))!;
      const cutter = new ArchiveCutter(repository, { identity });
      await cutter.begin('first');
      await cutter.look(redis.dir);
      const restoring = await on.deployment.client.workflow.start('restoreToPoint', {
        taskQueue: 'rewind',
        workflowId: 'restore/orders',
        args: [{ instance: 'orders', to: 'before-flush', into: 'instance:spare' }],
      });
      const moment = { timeline: 1 };
      expect(await restoring.result()).toMatchObject({ verified: true, moment, server: { users: 1 } });
      expect(await dataDigest(spare)).toBe(digest);
    } finally {
      await on.stop();
    }
  },
);
