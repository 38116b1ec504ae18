import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkflowHandle } from '@temporalio/client';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { followable } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { approve, endIncident, nothingStays, untilAsked } from '../support/flush-incident.ts';
import { untilStep } from '../support/run-steps.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { digestWithout } from '../support/without-command.ts';

/** So many that putting them back lasts long enough for a worker to be killed in the middle. */
const [fillers, keysPerSecond] = [2_000, 500];

describe('undone by itself, with a worker killed in the middle', { timeout: 400_000 }, () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let live: Redis;

  beforeAll(async () => {
    redis = await startRedis({ config: { ...debugAllowed(), ...followable, 'aof-disable-auto-gc': 'yes' } });
    await fillEveryType(redis);
    live = await connectTo(redis);
    await live.call('ACL', 'SETUSER', 'app', 'on', '>app-password', '~*', '&*', '+@all', '(~cart:* +set +get)');
    for (const db of [3, 7]) {
      await live.select(db);
      await live.eval(`for i = 1, ${fillers} do redis.call('SET', 'of:${db}:' .. i, i) end`, 0);
      await live.rpush('list', 'a', 'b');
    }
    on = await startOnS3({
      servers: { orders: redis },
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
    live?.disconnect();
    if (on) await endIncident(on);
    await on?.stop();
  });

  /** Writes to both databases, the command, and writes that act on old values, that are new, and that are elsewhere. */
  async function undone(...command: [string, ...string[]]): Promise<WorkflowHandle> {
    await live.select(3);
    await live.set('counter', '41');
    await live.call(...command);
    await live.incr('counter');
    await live.rpush('list', 'since');
    await live.set('of:3:1', 'anew');
    await live.select(7);
    await live.incr('elsewhere');
    return on.deployment.client.workflow.start('recoverAccidentalFlush', {
      taskQueue: 'rewind',
      workflowId: 'accidental-flush/orders',
      args: [{ instance: 'orders', onConflict: 'replay' }],
    });
  }

  async function kill(role: 'orchestrator' | 'sandbox'): Promise<void> {
    await on.deployment.kill9(role);
    await on.deployment.start(role);
  }

  it('FLUSHDB of one database: it is back with what came since, and the others are as they were', async () => {
    const rights = (await live.call('ACL', 'LIST')) as string[];
    const run = await undone('FLUSHDB');
    const waiting = await untilAsked(run, 'waiting-for-approval', 240_000);
    expect(waiting.gate).toMatchObject({ default: 'replay' });
    expect(waiting.gate?.summary).toContain('left out is FLUSHDB (db 3');
    const expected = await digestWithout(redis, ['flushdb']);
    await approve(run, waiting);
    await untilStep(on.deployment.client, run, 'migrateKeys');
    await kill('orchestrator');
    expect(await run.result()).toMatchObject({ recovered: true });
    expect(await dataDigest(redis)).toBe(expected);
    await live.select(3);
    expect(await live.get('counter')).toBe('42');
    expect(await live.lrange('list', 0, -1)).toEqual(['a', 'b', 'since']);
    await nothingStays(on, redis, rights, ['ship-aof/orders']);
  });

  it('SWAPDB: each has its own again, with what came since in the database that it was written to', async () => {
    const rights = (await live.call('ACL', 'LIST')) as string[];
    const run = await undone('SWAPDB', '3', '9');
    await untilStep(on.deployment.client, run, 'surveyReplay', 'completed');
    await untilGoesOn(run, 'materializeMoment');
    await kill('sandbox');
    const waiting = await untilAsked(run, 'waiting-for-approval', 240_000);
    expect(waiting.gate).toMatchObject({ default: 'replay' });
    const expected = await digestWithout(redis, ['swapdb', '3', '9']);
    await approve(run, waiting);
    expect(await run.result()).toMatchObject({ recovered: true });
    expect(await dataDigest(redis)).toBe(expected);
    await nothingStays(on, redis, rights, ['ship-aof/orders']);
  });

  it('two of them in a row: from the position that the first run names, both are left out', async () => {
    const rights = (await live.call('ACL', 'LIST')) as string[];
    await live.select(7);
    await live.flushdb();
    await live.set('between', 'the two');
    const first = await undone('FLUSHALL');
    const waiting = await untilAsked(first, 'waiting-for-approval', 240_000);
    const [, position] = /right before all of them is position (\d+)/.exec(JSON.stringify(waiting)) ?? [];
    await first.executeUpdate('reject', { args: [{ approver: 'a test', reason: 'both of them' }] });
    await expect(first.result()).rejects.toThrow();
    await live.set('after the', 'first run');
    const second = await on.deployment.client.workflow.start('recoverAccidentalFlush', {
      taskQueue: 'rewind',
      workflowId: 'accidental-flush/orders',
      args: [{ instance: 'orders', onConflict: 'replay', to: position }],
    });
    const again = await untilAsked(second, 'waiting-for-approval', 240_000);
    const expected = await digestWithout(redis, ['flushall'], ['flushdb']);
    await approve(second, again);
    expect(await second.result()).toMatchObject({ recovered: true });
    expect(await dataDigest(redis)).toBe(expected);
    expect(await live.get('between')).toBe('the two');
    expect(await live.get('after the')).toBe('first run');
    await nothingStays(on, redis, rights, ['ship-aof/orders']);
  });

  /** A worker has it, or it is over already. */
  async function untilGoesOn(run: WorkflowHandle, step: string): Promise<void> {
    for (;;) {
      const { raw } = await run.describe();
      const [pending] = raw.pendingActivities ?? [];
      if (pending?.activityType?.name === step && pending.attempt && pending.lastStartedTime) return;
      if (pending && pending.activityType?.name !== step) return;
      await sleep(20);
    }
  }
});
