import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Progress } from '../../workflows/run-story.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { flushNow, lastReport, untilAsked, untilRuns } from '../support/flush-incident.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

describe('somebody ran FLUSHALL', () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let digest: string;

  beforeAll(async () => {
    redis = await startRedis({ config: { ...debugAllowed(), appendonly: 'yes', 'aof-timestamp-enabled': 'yes' } });
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
    expect(waiting.gate?.summary).toMatch(/FLUSHALL stands in appendonly\.aof\.1\.incr\.aof at byte \d+, at or after /);
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

  it('--no-fence: everybody writes on all the time, what they write stays, and a replay is refused', async () => {
    const live = await connectTo(redis);
    await live.del('late');
    const rights = await live.call('ACL', 'LIST');
    await flushNow(redis);
    await live.set('counter', 'since the flush');
    const followed = on.deployment.cli('runbook', 'accidental-flush', 'orders', '--no-fence');
    const run = await untilRuns(on, 'accidental-flush/orders');
    const waiting = await untilAsked(run);
    expect(waiting.gate?.choices.map(({ id }) => id)).not.toContain('replay');
    expect(await live.call('ACL', 'LIST')).toEqual(rights);
    expect(await live.set('late', 'write')).toBe('OK');
    // What is written meanwhile changes the plan: it is shown again, and approved as it is then.
    const goesOn = async () => {
      const { phase } = await run.query<Progress>('progress');
      if (phase === 'waiting-for-approval') await run.executeUpdate('approve', { args: [{ approver: 'a test' }] });
      return phase;
    };
    await expect.poll(goesOn, { timeout: 60_000, interval: 500 }).toBe('done');
    expect(await run.result()).toMatchObject({ recovered: true, keys: { kept: 1, replaced: 0 } });
    expect(await followed).toMatchObject({ code: 0 });
    expect(await live.get('late')).toBe('write');
    expect(await live.get('counter')).toBe('since the flush');
    expect(await live.call('ACL', 'LIST')).toEqual(rights);
    const report = await lastReport(on, 'orders');
    expect(report).toMatchObject({ outcome: 'recovered' });
    expect(report).not.toMatchObject({ figures: { fencedSeconds: expect.anything() } });
    live.disconnect();
  });
});
