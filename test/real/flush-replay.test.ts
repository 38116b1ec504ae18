import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Progress } from '../../workflows/run-story.ts';
import { AcknowledgedWriters } from '../support/acknowledged-writers.ts';
import { followable } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { approve, endIncident, lastReport, untilAsked, untilRuns } from '../support/flush-incident.ts';
import { untilStep } from '../support/run-steps.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { digestWithout } from '../support/without-command.ts';

/** So many that putting them back lasts long enough to be killed in the middle. */
const [keys, keysPerSecond] = [3_000, 1_000];

describe('a flush in the middle of writing, undone by itself', { timeout: 400_000 }, () => {
  let redis: RedisServer;
  let on: S3Deployment;

  beforeAll(async () => {
    redis = await startRedis({ config: { ...debugAllowed(), ...followable, 'aof-disable-auto-gc': 'yes' } });
    await fillEveryType(redis);
    const live = await connectTo(redis);
    await live.eval(`for i = 1, ${keys} do redis.call('SET', 'filler:' .. i, i) end`, 0);
    live.disconnect();
    on = await startOnS3({
      servers: { orders: redis },
      // Writers and three roles share the machine: who is late is not dead.
      timeouts: { heartbeat: '10s' },
      instance: () => ({ archive: { segmentEvery: '200ms' }, limits: { restoreKeysPerSecond: keysPerSecond } }),
    });
    await on.deployment.client.workflow.start('shipAof', {
      taskQueue: 'rewind',
      workflowId: 'ship-aof/orders',
      args: [{ instance: 'orders' }],
    });
  }, 400_000);
  afterAll(async () => {
    if (on) await endIncident(on);
    await on?.stop();
  });

  /** Writers, a flush among what they write, and the runbook, started while they go on. */
  async function flushInTheMiddle(name: string) {
    const writers = await AcknowledgedWriters.start(redis, name);
    await writers.go(40);
    const admin = await connectTo(redis);
    await admin.flushall();
    admin.disconnect();
    await writers.go(40);
    const followed = on.deployment.cli('runbook', 'accidental-flush', 'orders', '--on-conflict', 'replay');
    return { writers, run: await untilRuns(on, 'accidental-flush/orders'), followed };
  }

  /** What the gate says of a replay that was asked for. */
  function offered({ gate }: Progress, { refused }: AcknowledgedWriters) {
    expect(gate).toMatchObject({ name: 'put back', default: 'replay' });
    expect(gate?.choices.map(({ id }) => id)).toEqual(['keep-live', 'take-backup', 'replay']);
    expect(gate?.summary).toMatch(
      /left out is FLUSHALL .*; \d+ commands came since; \d+ writes to \d+ keys act on old/,
    );
    expect(refused).toBeGreaterThan(0);
  }

  it('everything is back but the flush: all that was acknowledged, and what was there before', async () => {
    const incident = await flushInTheMiddle('first');
    const waiting = await untilAsked(incident.run, 'waiting-for-approval', 240_000);
    offered(waiting, incident.writers);
    await approve(incident.run, waiting);
    const result = await incident.run.result();
    expect(await incident.followed).toMatchObject({ code: 0 });
    // Whoever was refused goes on: what counts is the state in which everybody could write again.
    await incident.writers.stop();
    await incident.writers.allThere(redis);
    expect(result).toMatchObject({ recovered: true, keys: { kept: 0 } });
    expect(await lastReport(on, 'orders')).toMatchObject({
      outcome: 'recovered',
      files: expect.arrayContaining([expect.objectContaining({ what: 'keys whose writes since acted on old values' })]),
    });
  });

  it('the same with the agent killed while keys are put back', async () => {
    const incident = await flushInTheMiddle('second');
    const waiting = await untilAsked(incident.run, 'waiting-for-approval', 240_000);
    offered(waiting, incident.writers);
    await incident.writers.stop();
    const expected = await digestWithout(redis, ['flushall']);
    await approve(incident.run, waiting);
    await untilStep(on.deployment.client, incident.run, 'migrateKeys');
    await on.deployment.kill9('host');
    await on.deployment.start('host');
    expect(await incident.run.result()).toMatchObject({ recovered: true });
    expect(await incident.followed).toMatchObject({ code: 0 });
    await incident.writers.allThere(redis);
    expect(await dataDigest(redis)).toBe(expected);
  });
});
