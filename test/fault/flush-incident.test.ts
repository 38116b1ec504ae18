import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { failureOf } from '../support/failure-of.ts';
import type { WritersReport } from '../support/fence-writers.ts';
import {
  approve,
  endIncident,
  flushNow,
  lastReport,
  nothingStays,
  startIncident,
  TOLD_APART_MS,
  untilAsked,
  untilRuns,
} from '../support/flush-incident.ts';
import { untilStep } from '../support/run-steps.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

const writersScript = fileURLToPath(new URL('../support/fence-writers.ts', import.meta.url));
const APP = 'app on >app-password ~* &* +@all -flushall';

/** As many, at that rate, that putting them back lasts long enough to be killed in the middle. */
const [KEYS, KEYS_PER_SECOND] = [4_000, 500];

describe('an incident that something happens to', () => {
  let redis: RedisServer;
  let timed: RedisServer;
  let on: S3Deployment;
  let admin: Redis;
  let app: Redis;
  let rights: string[];
  let digest: string;

  const fill = async (server: RedisServer) => {
    await fillEveryType(server);
    const live = await connectTo(server);
    const script = `for i = 1, ${KEYS} do redis.call('SET', ARGV[1] .. i, 'value ' .. i) end`;
    await live.eval(script, 0, 'filler:');
    await live.select(3);
    await live.eval("for i = 1, 300 do redis.call('SET', 'session:' .. i, i) end", 0);
    live.disconnect();
  };

  beforeAll(async () => {
    // Users in the file: they outlive a restart.
    const users = [APP, 'app0 on nopass ~* &* +@all', 'app1 on nopass ~* &* +@all'];
    const config = { ...debugAllowed(), user: users };
    [redis, timed] = await Promise.all([startRedis({ config }), startRedis()]);
    await Promise.all([fill(redis), fillEveryType(timed)]);
    on = await startOnS3({
      servers: { orders: redis, timed },
      instance: (name) => ({
        ...(name === 'timed' ? { approval: { timeout: '5s' } } : {}),
        limits: { restoreKeysPerSecond: KEYS_PER_SECOND },
      }),
    });
    await Promise.all([on.deployment.backup('orders'), on.deployment.backup('timed')]);
    digest = await dataDigest(redis);
  });
  afterAll(() => on?.stop());

  beforeEach(async () => {
    admin = await connectTo(redis);
    app = await asApp();
    rights = (await admin.call('ACL', 'LIST')) as string[];
  });
  afterEach(async () => {
    // What failed in one test is not there in the next.
    await endIncident(on);
    admin?.disconnect();
    app?.disconnect();
  });

  const asApp = () => connectRedis({ url: `redis://app@127.0.0.1:${redis.port}`, password: 'app-password' });
  const fenced = () => expect(app.set('late', 'write')).rejects.toThrow(/NOPERM/);
  const partlyBack = () =>
    expect.poll(() => admin.dbsize(), { timeout: 60_000, interval: 50 }).toBeGreaterThan(KEYS / 10);

  it('rejected at its gate: exit code 4, everybody may write again, and the report says who and why', async () => {
    await flushNow(redis);
    const followed = on.deployment.cli('runbook', 'accidental-flush', 'orders', '--json');
    const run = await untilRuns(on, 'accidental-flush/orders');
    const waiting = await untilAsked(run);
    await fenced();
    await run.executeUpdate('reject', {
      args: [{ approver: 'alice', reason: 'it was pages', plan: waiting.gate?.plan }],
    });
    const { code, stdout } = await followed;
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'GATE_REJECTED' } });
    expect(code).toBe(4);
    await nothingStays(on, redis, rights);
    expect(await admin.dbsize()).toBe(0);
    expect(await lastReport(on, 'orders')).toMatchObject({
      outcome: 'rejected',
      decisions: expect.arrayContaining([
        expect.objectContaining({ answer: expect.objectContaining({ approver: 'alice', reason: 'it was pages' }) }),
      ]),
    });
  });

  it('cancelled at its gate: the same, and the report says cancelled', async () => {
    const { run } = await startIncident(on, redis);
    await run.cancel();
    expect(await failureOf(run)).toMatchObject({ code: 'CANCELLED' });
    await nothingStays(on, redis, rights);
    expect(await lastReport(on, 'orders')).toMatchObject({ outcome: 'cancelled' });
  });

  it('cancelled while rights are being taken: those who lost theirs have them back', async () => {
    const many = Array.from({ length: 400 }, (_, at) => `tenant${at}`);
    await Promise.all(many.map((name) => admin.call('ACL', 'SETUSER', name, 'on', 'nopass', '~*', '+@all')));
    const before = (await admin.call('ACL', 'LIST')) as string[];
    const run = await on.deployment.client.workflow.start('recoverAccidentalFlush', {
      taskQueue: 'rewind',
      workflowId: 'accidental-flush/orders',
      args: [{ instance: 'orders' }],
    });
    const tokens = async () => JSON.stringify(await admin.call('ACL', 'LIST')) === JSON.stringify(before);
    await expect.poll(tokens, { timeout: 60_000, interval: 5 }).toBe(false);
    await run.cancel();
    expect(await failureOf(run)).toMatchObject({ code: 'CANCELLED' });
    await nothingStays(on, redis, before);
    await admin.call('ACL', 'DELUSER', ...many);
  });

  it('nobody answers in time: as a rejection', async () => {
    const live = await connectTo(timed);
    const before = (await live.call('ACL', 'LIST')) as string[];
    const { run } = await startIncident(on, timed, { instance: 'timed' });
    expect(await failureOf(run)).toMatchObject({ code: 'GATE_TIMED_OUT' });
    await nothingStays(on, timed, before);
    expect(await lastReport(on, 'timed')).toMatchObject({ outcome: 'timed-out' });
    live.disconnect();
  });

  it('the agent is killed -9 while it waits, and again while keys are put back: the data is back to the byte', async () => {
    const { run } = await startIncident(on, redis);
    await on.deployment.kill9('host');
    // Redis itself keeps the fence.
    await fenced();
    await on.deployment.start('host');
    await approve(run, await untilAsked(run));
    await untilStep(on.deployment.client, run, 'migrateKeys');
    await partlyBack();
    await on.deployment.kill9('host');
    await fenced();
    await on.deployment.start('host');
    expect(await run.result()).toMatchObject({ recovered: true, keys: { kept: 0, replaced: 0 } });
    expect(await dataDigest(redis)).toBe(digest);
    await nothingStays(on, redis, rights);
  });

  it('the orchestrator is killed -9 at the gate: an approval that is sent meanwhile counts when it is back', async () => {
    const { run, waiting } = await startIncident(on, redis);
    await on.deployment.kill9('orchestrator');
    await run.signal('approve', { approver: 'a test', plan: waiting.gate?.plan });
    await on.deployment.start('orchestrator');
    expect(await run.result()).toMatchObject({ recovered: true });
    expect(await dataDigest(redis)).toBe(digest);
    await nothingStays(on, redis, rights);
  });

  it('Redis is restarted: its users come back with their rights, are fenced again, and the data comes back', async () => {
    const { run } = await startIncident(on, redis);
    await redis.restart();
    for (const lost of [admin, app]) lost.disconnect();
    [admin, app] = [await connectTo(redis), await asApp()];
    const mayWrite = () => app.set('late', 'write').then(String, (error) => error.message);
    await expect.poll(mayWrite, { timeout: 60_000, interval: 200 }).toMatch(/NOPERM/);
    // Another server process is another plan: what was shown before does not count for it.
    let over = false;
    const result = run.result().finally(() => (over = true));
    result.catch(() => undefined);
    while (!over) {
      const shown = await run.query<Progress>('progress').catch(() => undefined);
      if (shown?.phase === 'waiting-for-approval' && shown.gate) await approve(run, shown).catch(() => undefined);
      await Promise.race([result.catch(() => undefined), sleep(500)]);
    }
    expect(await result).toMatchObject({ recovered: true });
    // What got through before it was fenced again is live, and stayed.
    await admin.del('late');
    expect(await dataDigest(redis)).toBe(digest);
    await nothingStays(on, redis, rights);
  });

  it('FLUSHDB of one of several databases: that one comes back, and nothing else is touched', async () => {
    await app.del('filler:1');
    await app.set('filler:2', 'changed since');
    const others = KEYS + (await admin.keys('*')).filter((key) => !key.startsWith('filler:')).length - 1;
    const other = await connectTo(redis);
    await other.select(3);
    await sleep(TOLD_APART_MS);
    await other.flushdb();
    const { run, waiting } = await startIncident(on, redis, { flush: ['PING'] });
    expect(waiting.gate?.summary).toContain('database 3');
    await approve(run, waiting);
    expect(await run.result()).toMatchObject({ recovered: true, keys: { restored: 300 } });
    expect(await other.dbsize()).toBe(300);
    expect(await admin.exists('filler:1')).toBe(0);
    expect(await admin.get('filler:2')).toBe('changed since');
    expect(await admin.dbsize()).toBe(others);
    other.disconnect();
    await nothingStays(on, redis, rights);
  });

  it('a backup that is taken meanwhile is stored and flagged, and latest passes it over', async () => {
    const { run } = await startIncident(on, redis);
    const { backup } = await on.deployment.backup('orders');
    expect(backup).toMatchObject({ flagged: expect.any(String) });
    await run.executeUpdate('reject', { args: [{ approver: 'a test', reason: 'only to see' }] });
    await failureOf(run);
    const listed = JSON.parse((await on.deployment.cli('backups', 'orders', '--json')).stdout).backups;
    expect(listed[0]).toMatchObject({ id: backup.id, flagged: expect.any(String) });
    const { stdout } = await on.deployment.cli('restore', 'orders', '--to', 'latest', '--dry-run', '--json');
    expect(stdout).toContain(listed[1].id);
    expect(JSON.parse(stdout)).not.toMatchObject({ backup: { id: backup.id } });
    await nothingStays(on, redis, rights);
  });

  it('writers all along: none gets through the fence, and none that was acknowledged since the flush is lost', async () => {
    await admin.flushall();
    const writers = fork(writersScript, [String(redis.port), '2', '20']);
    await once(writers, 'message');
    const { run, waiting } = await startIncident(on, redis, { flush: ['PING'] });
    const counted = await admin.get('count');
    expect(Number(counted)).toBeGreaterThan(0);
    await sleep(1_000);
    expect(await admin.get('count')).toBe(counted);
    await approve(run, waiting, 'keep-live');
    await run.result();
    await expect.poll(() => admin.get('count'), { timeout: 30_000 }).not.toBe(counted);
    const ended = once(writers, 'message');
    writers.send('stop');
    const [{ acknowledged, refused }] = (await ended) as [WritersReport];
    expect(refused).toBeGreaterThan(0);
    expect(Number(await admin.get('count'))).toBe(acknowledged);
    await admin.del('count');
    expect(await dataDigest(redis)).toBe(digest);
    await nothingStays(on, redis, rights);
  });
});
