import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Progress } from '../../workflows/run-story.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

describe('somebody ran FLUSHALL', () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let digest: string;

  beforeAll(async () => {
    redis = await startRedis({ config: debugAllowed() });
    await fillEveryType(redis);
    on = await startOnS3({ servers: { orders: redis } });
    await on.deployment.backup('orders');
    digest = await dataDigest(redis);
  });
  afterAll(() => on?.stop());

  it('is undone through its gate, with the rights of before and the data to the byte', async () => {
    const { client } = on.deployment;
    const live = await connectTo(redis);
    await live.call('ACL', 'SETUSER', 'app', 'on', '>app-password', '~*', '&*', '+@all');
    const rights = await live.call('ACL', 'LIST');
    await sleep(2_500); // the flush has to be told from the backup, and Redis knows whole seconds only
    await live.flushall();
    const run = await client.workflow.start('recoverAccidentalFlush', {
      taskQueue: 'rewind',
      workflowId: 'accidental-flush/orders',
      args: [{ instance: 'orders' }],
    });
    const waiting = await expect
      .poll(async () => run.query<Progress>('progress').catch(() => undefined), { timeout: 120_000, interval: 250 })
      .toMatchObject({ phase: 'waiting-for-approval' })
      .then(() => run.query<Progress>('progress'));
    expect(waiting.gate).toMatchObject({ name: 'put back', default: 'keep-live' });
    // Everybody is fenced while people think.
    await expect(live.set('late', 'write')).rejects.toThrow(/NOPERM/);
    await run.executeUpdate('approve', { args: [{ approver: 'a test', plan: waiting.gate?.plan }] });
    const result = await run.result();
    expect(result).toMatchObject({ kind: 'accidental-flush', recovered: true, keys: { kept: 0, replaced: 0 } });
    expect(await dataDigest(redis)).toBe(digest);
    expect(await live.call('ACL', 'LIST')).toEqual(rights);
    await live.set('late', 'write');
    live.disconnect();
  });
});
