import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { endIncident, nothingStays, TOLD_APART_MS, untilAsked } from '../support/flush-incident.ts';
import { commandsOf, shellFor, type TypeLine } from '../support/page-commands.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

const starts = (line: string) => /^npx rewind runbook |^temporal workflow start /.test(line);
const looks = (line: string) => /^npx rewind (status|check|backup) |^temporal workflow query /.test(line);
const answers = (line: string) => /^npx rewind (approve|reject) |--name approve /.test(line);
const parked = (line: string) => /^npx rewind (retry|abort) /.test(line);
const unfences = (line: string) => /^npx rewind unfence /.test(line);

const flush = commandsOf('runbooks/accidental-flush');
const crash = commandsOf('runbooks/node-crash');

const ended = (run: WorkflowHandle) =>
  run.result().then(
    () => 'completed',
    (error) => error.cause?.type as string,
  );

it('every command of the pages is of a kind that is typed here', () => {
  for (const line of [...flush, ...crash]) {
    expect([starts, looks, answers, parked, unfences].filter((is) => is(line)).length, line).toBe(1);
  }
  // Those of a parked step are typed on one page; on the other they are the same but for the run's name.
  const renamed = crash.filter(parked).map((line) => line.replace('node-crash', 'accidental-flush'));
  expect(flush).toEqual(expect.arrayContaining(renamed));
});

describe('docs/runbooks/accidental-flush.md', () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let typed: TypeLine;
  let rights: string[];
  const [byRewind = '', byTemporal = ''] = flush.filter(starts);

  beforeAll(async () => {
    redis = await startRedis();
    await fillEveryType(redis);
    on = await startOnS3({ servers: { orders: redis } });
    typed = shellFor(on.deployment, on.store.env);
    await on.deployment.backup('orders');
    const live = await connectTo(redis);
    rights = (await live.call('ACL', 'LIST')) as string[];
    live.disconnect();
  });
  afterAll(() => on?.stop());
  // What failed in one test is not there in the next.
  afterEach(() => endIncident(on));

  /** Flushes, and types what starts the runbook. What follows it to its end ends with it. */
  async function begun(line: string, phase?: string) {
    await new Promise((resolve) => setTimeout(resolve, TOLD_APART_MS));
    const live = await connectTo(redis);
    await live.flushall();
    live.disconnect();
    const typing = typed(line);
    const run = on.deployment.client.workflow.getHandle('accidental-flush/orders');
    // A run before it under the same id may answer first.
    const waits = async () => (await run.describe().catch(() => undefined))?.status.name;
    await expect.poll(waits, { timeout: 60_000, interval: 250 }).toBe('RUNNING');
    await untilAsked(run, phase);
    return { run, typing };
  }

  it.for(flush.filter(answers).map((line, at) => [line, at % 2 ? byTemporal : byRewind] as const))(
    '%s',
    async ([line, start]) => {
      const { run, typing } = await begun(start);
      for (const look of flush.filter(looks).filter((each) => !each.includes('check'))) {
        expect((await typed(look)).output).toContain('put back');
      }
      expect(await typed(line)).toMatchObject({ code: 0 });
      const rejected = line.includes('reject');
      expect(await ended(run)).toBe(rejected ? 'GATE_REJECTED' : 'completed');
      const { code } = await typing;
      if (start === byRewind) expect(code).toBe(rejected ? 4 : 0);
      await nothingStays(on, redis, rights);
    },
  );

  it.for(flush.filter(parked))('%s', async (line) => {
    const { run, typing } = await begun(`${byRewind} --to no-such-backup`, 'parked');
    expect(await typed(line)).toMatchObject({ code: 0 });
    if (line.includes('retry')) {
      await untilAsked(run, line.includes('--input') ? undefined : 'parked');
      await run.cancel();
    } else expect(await ended(run)).toBe('ABORTED');
    await typing;
    await nothingStays(on, redis, rights);
  });

  it('npx rewind check and unfence, after the run was terminated', async () => {
    const { run, typing } = await begun(byTemporal);
    await typing;
    await run.terminate();
    const [check = ''] = flush.filter((line) => line.includes('check'));
    const [unfence = ''] = flush.filter(unfences);
    expect(await typed(check)).toMatchObject({ code: 3, output: expect.stringContaining('FENCE_WITHOUT_OWNER') });
    expect(await typed(unfence)).toMatchObject({ code: 0 });
    await nothingStays(on, redis, rights);
  });
});

describe('docs/runbooks/node-crash.md', () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let typed: TypeLine;
  let backup: string;
  const [byRewind = '', byTemporal = ''] = crash.filter(starts);

  beforeAll(async () => {
    redis = await startRedis();
    await fillEveryType(redis);
    const args = ['--port', String(redis.port), '--bind', '127.0.0.1', '--dir', redis.dir, '--save', ''];
    on = await startOnS3({
      servers: { orders: redis },
      instance: () => ({ host: { service: { process: { args } } } }),
    });
    typed = shellFor(on.deployment, on.store.env);
    backup = (await on.deployment.backup('orders')).backup.id;
  });
  const end = async () => {
    const last = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` }).catch(() => undefined);
    await last?.call('SHUTDOWN', 'NOSAVE').catch(() => undefined);
    last?.disconnect();
  };
  afterAll(async () => {
    await end();
    await on?.stop();
  });

  it.for(crash.filter(answers).map((line, at) => [line, at % 2 ? byTemporal : byRewind] as const))(
    '%s',
    async ([line, start]) => {
      // No copy and no file of its own: whatever it starts with, a person decides.
      await end();
      await redis.kill9().catch(() => undefined);
      await rm(join(redis.dir, 'dump.rdb'), { force: true });
      const typing = typed(start);
      const run = on.deployment.client.workflow.getHandle('node-crash/orders');
      const waits = async () => (await run.describe().catch(() => undefined))?.status.name;
      await expect.poll(waits, { timeout: 60_000, interval: 250 }).toBe('RUNNING');
      const { gate } = await untilAsked(run);
      for (const look of crash.filter((each) => looks(each) && /status|query/.test(each))) {
        expect((await typed(look)).output).toContain('recover');
      }
      const offered = gate?.choices.map(({ id }) => id) ?? [];
      const [, asked = ''] = /choice[ "':]+([a-z-]+)/.exec(line) ?? [];
      const choice = asked === 'backup' ? `backup:${backup}` : asked === 'look-again' ? gate?.default : undefined;
      if (choice) expect(offered).toContain(choice);
      const now = line.replace(/backup:[\w-]+/, String(choice)).replace('look-again', String(choice));
      expect(await typed(now)).toMatchObject({ code: 0 });
      const rejected = line.includes('reject');
      expect(await ended(run)).toBe(rejected ? 'GATE_REJECTED' : 'completed');
      await typing;
    },
  );

  it('npx rewind check and backup, afterwards', async () => {
    const live = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` }).catch(() => undefined);
    live?.disconnect();
    if (!live) await redis.restart();
    for (const line of crash.filter((each) => looks(each) && /check|backup/.test(each))) {
      expect([0, 3]).toContain((await typed(line)).code);
    }
  });
});
