import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { approve, nothingStays, startIncident } from '../support/flush-incident.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

/** Within which everybody who could be asked says that a fence has lost its owner. */
const SAID_WITHIN_MS = 30_000;
const soon = { timeout: SAID_WITHIN_MS, interval: 500 };

describe('a run that holds a fence is terminated at its gate', () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let admin: Redis;
  let app: Redis;
  let rights: unknown;
  let fenceId: string;

  beforeAll(async () => {
    redis = await startRedis();
    await fillEveryType(redis);
    on = await startOnS3({ servers: { orders: redis }, timeouts: { heartbeat: '10s' } });
    await on.deployment.backup('orders');
    admin = await connectTo(redis);
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>app-password', '~*', '&*', '+@all', '-flushall');
    rights = await admin.call('ACL', 'LIST');
    app = await connectRedis({ url: `redis://app@127.0.0.1:${redis.port}`, password: 'app-password' });
  });
  afterAll(async () => {
    admin?.disconnect();
    app?.disconnect();
    await on?.stop();
  });

  async function status() {
    const { code, stdout } = await on.deployment.cli('status', 'orders', '--json');
    return { code, document: JSON.parse(stdout).instances.orders };
  }
  async function check(): Promise<{ code: string; severity: string; fix: string }[]> {
    const { stdout } = await on.deployment.cli('check', 'orders', '--json');
    return JSON.parse(stdout).instances.orders.findings.filter(({ code }: { code: string }) =>
      code.startsWith('FENCE'),
    );
  }

  it('while the run is there, status and check name it, and neither calls the fence abandoned', async () => {
    const { run } = await startIncident(on, redis);
    const held = await status();
    expect(held.document.fences).toEqual([
      {
        fenceId: expect.any(String),
        since: expect.stringMatching(/Z$/),
        owner: 'accidental-flush/orders',
        ownerRuns: true,
        command: 'rewind unfence orders',
      },
    ]);
    const findings = await check();
    expect(findings).toMatchObject([{ code: 'FENCE_IN_FORCE', severity: 'info' }]);
    await run.terminate('a test');
  });

  it('the agent’s log says so, and the application stays fenced', async () => {
    await expect.poll(() => on.deployment.log('host'), soon).toMatch(/fence without an owner: .*rewind unfence orders/);
    await expect(app.set('late', 'write')).rejects.toThrow(/NOPERM/);
  });

  it('rewind status says so, names the command, and ends with 3', async () => {
    await expect.poll(async () => (await status()).document.fences[0]?.ownerRuns, soon).toBe(false);
    const { code, document } = await status();
    fenceId = document.fences[0].fenceId;
    expect(document.fences[0].command).toBe('rewind unfence orders');
    expect(code).toBe(3);
    const { stdout } = await on.deployment.cli('status', 'orders');
    expect(stdout).toMatch(/FENCED {8}since \S+Z by accidental-flush\/orders/);
    expect(stdout).toContain('(fence without an owner)');
    expect(stdout).toContain('next: rewind unfence orders');
  });

  it('rewind check finds it', async () => {
    expect(await check()).toMatchObject([
      { code: 'FENCE_WITHOUT_OWNER', severity: 'error', fix: 'rewind unfence orders' },
    ]);
  });

  it('rewind unfence gives the rights back, token by token, and writes go on', async () => {
    const { code, stdout, stderr } = await on.deployment.cli('unfence', 'orders', '--json');
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ instance: 'orders', fence: { fenceId } });
    expect(await admin.call('ACL', 'LIST')).toEqual(rights);
    await app.set('late', 'write');
    expect((await status()).document.fences).toEqual([]);
    expect(await check()).toEqual([]);
  });

  it('a user that a fence left behind is found, with the command that removes it', async () => {
    await admin.call('ACL', 'SETUSER', 'rewind-0123abcd', 'on', 'nopass', '~*', '+@all');
    const [finding] = await check();
    expect(finding).toMatchObject({ code: 'FENCE_LEFT_USER', severity: 'warning' });
    expect(finding?.fix).toMatch(/ACL DELUSER rewind-0123abcd$/);
    await admin.call('ACL', 'DELUSER', 'rewind-0123abcd');
    expect(await check()).toEqual([]);
  });

  it('a second runbook takes such a fence over: nobody writes in between, and at its end the rights are as before the first', async () => {
    const first = await startIncident(on, redis);
    await first.run.terminate('a test');
    const abandoned = (await status()).document.fences[0];
    const { run, waiting } = await startIncident(on, redis, { flush: ['PING'] });
    expect((await status()).document.fences).toMatchObject([{ fenceId: abandoned.fenceId, ownerRuns: true }]);
    await expect(app.set('late', 'write')).rejects.toThrow(/NOPERM/);
    await approve(run, waiting);
    expect(await run.result()).toMatchObject({ recovered: true });
    await nothingStays(on, redis, rights as string[]);
    await app.set('late', 'write');
    // Undone once, by whoever held it last.
    const { code } = await on.deployment.cli('unfence', 'orders', '--json');
    expect(code).not.toBe(0);
  });
});
