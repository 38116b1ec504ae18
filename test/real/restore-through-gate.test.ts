import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RestoreResult } from '../../workflows/restore-to-point.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { s3Client } from '../support/s3-store.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

describe('a restore by which something that is live may go', () => {
  let orders: RedisServer;
  let staging: RedisServer;
  let on: S3Deployment;
  let backupId: string;
  let digest: string;
  let runs = 0;

  beforeAll(async () => {
    orders = await startRedis({ config: debugAllowed() });
    staging = await startRedis({ config: debugAllowed() });
    await fillEveryType(orders);
    const live = await connectTo(orders);
    await live.call('ACL', 'SETUSER', 'shop', 'on', '>secret', '~shop:*', '+@read');
    await live.config('SET', 'maxmemory-samples', '7');
    live.disconnect();
    on = await startOnS3({ servers: { orders, staging } });
    backupId = (await on.deployment.backup('orders')).backup.id;
    digest = await dataDigest(orders);
  });
  afterAll(() => on?.stop());

  /** As it was, but for one key of the backup that was written anew and one that is new. */
  beforeEach(async () => {
    const live = await connectTo(orders);
    await live.set('counter', 'written since');
    await live.set('new-since', 'written since');
    live.disconnect();
  });

  async function startRestore(input: object) {
    runs += 1;
    const run = await on.deployment.client.workflow.start('restoreToPoint', {
      taskQueue: 'rewind',
      workflowId: `typed-by-hand-${runs}`,
      args: [{ instance: 'orders', to: backupId, ...input }],
    });
    const progress = () => run.query<Progress>('progress').catch(() => undefined);
    await expect.poll(progress, { timeout: 120_000, interval: 250 }).toMatchObject({ phase: 'waiting-for-approval' });
    const { gate } = (await progress()) as Progress;
    return { run, gate };
  }

  it('is approved by a person, after which a safety copy is proven first: take-backup', async () => {
    const { run, gate } = await startRestore({ into: 'live', onConflict: 'take-backup' });
    expect(gate?.summary).toContain('become what they were then');
    await run.executeUpdate('approve', { args: [{ approver: 'a test', plan: gate?.plan }] });
    const result = (await run.result()) as RestoreResult;
    expect(result).toMatchObject({ verified: true, keys: { kept: 0, replaced: expect.any(Number) } });
    expect(result.keys.replaced).toBeGreaterThan(700);
    const live = await connectTo(orders);
    expect(await live.get('counter')).toBe('42');
    expect(await live.get('new-since')).toBe('written since');
    await live.del('new-since');
    live.disconnect();
    expect(await dataDigest(orders)).toBe(digest);
    const { stdout } = await on.deployment.cli('backups', 'orders', '--json');
    const [copy] = JSON.parse(stdout).backups;
    expect(copy).toMatchObject({ state: 'verified', flagged: expect.stringContaining('typed-by-hand-1') });
  });

  it('replaces everything where that was asked for, and the server stays up: replace-all', async () => {
    const { run, gate } = await startRestore({ into: 'live', onConflict: 'replace-all' });
    expect(gate?.choices.map(({ id }) => id)).toEqual(['with-safety-copy', 'nothing-to-keep']);
    await run.executeUpdate('approve', { args: [{ approver: 'a test', plan: gate?.plan, choice: 'nothing-to-keep' }] });
    expect(await run.result()).toMatchObject({ verified: true });
    expect(await dataDigest(orders)).toBe(digest);
  });

  it('changes nothing where it is rejected, and ends with 4 on the command line', async () => {
    const before = await dataDigest(orders);
    const { run } = await startRestore({ into: 'live', onConflict: 'take-backup' });
    const { code } = await on.deployment.cli('reject', run.workflowId, '--reason', 'not today', '--yes');
    expect(code).toBe(0);
    await expect(run.result()).rejects.toMatchObject({ cause: { type: 'GATE_REJECTED' } });
    expect(await dataDigest(orders)).toBe(before);
  });

  it('into another instance that is empty needs no gate: instance:staging', async () => {
    const { stdout, code } = await on.deployment.cli(
      ...['restore', 'orders', '--to', backupId, '--into', 'instance:staging', '--json'],
    );
    const answer = JSON.parse(stdout);
    expect(answer).toMatchObject({ instance: 'orders', into: 'instance:staging', verified: true });
    expect(code).toBe(0);
    expect(await dataDigest(staging)).toBe(digest);

    // A server without its users is not restored: what it lacks is shown, and nothing of it applied.
    const { Body } = await s3Client(on.store).send(
      new GetObjectCommand({ Bucket: on.store.bucket, Key: `${on.store.prefix}/${answer.server.key}` }),
    );
    const diff = (await Body?.transformToString()) ?? '';
    expect(diff).toMatch(/^\+ user shop on #… .*~shop:\* .*\+@read$/m);
    expect(diff).toMatch(/^\+ maxmemory-samples 7$/m);
    expect(diff).not.toMatch(/#[0-9a-f]{64}|^[+-] (port|dir) /m);
    const live = await connectTo(staging);
    expect(await live.call('ACL', 'USERS')).toEqual(['default']);
    live.disconnect();
  });

  it('says what it would do and does nothing: --dry-run', async () => {
    const before = await dataDigest(orders);
    const { stdout, code } = await on.deployment.cli(
      ...[
        'restore',
        'orders',
        '--to',
        backupId,
        '--into',
        'live',
        '--on-conflict',
        'take-backup',
        '--dry-run',
        '--json',
      ],
    );
    expect(JSON.parse(stdout)).toMatchObject({ plan: { way: 'slices', destructive: true, refusals: [] } });
    expect(code).toBe(0);
    expect(await dataDigest(orders)).toBe(before);
  });

  it('takes only the keys that a file names: --key-file', async () => {
    const live = await connectTo(orders);
    await live.flushall();
    await using folder = await temporaryFolder('key-file');
    const keyFile = join(folder.path, 'keys.txt');
    await writeFile(keyFile, 'counter\nleaderboard\nnot-in-the-backup\n');
    const { stdout, code } = await on.deployment.cli(
      ...['restore', 'orders', '--to', backupId, '--into', 'live', '--key-file', keyFile, '--json'],
    );
    expect(JSON.parse(stdout)).toMatchObject({ verified: true, keys: { restored: 2 } });
    expect(code).toBe(0);
    expect((await live.keys('*')).sort()).toEqual(['counter', 'leaderboard']);
    live.disconnect();
  });

  it('goes without Temporal, confirmed by --yes: the same keys, compared', async () => {
    const live = await connectTo(orders);
    await live.flushall();
    live.disconnect();
    const { stdout, code, stderr } = await on.deployment.cli(
      ...['restore', 'orders', '--to', backupId, '--into', 'live', '--without-temporal', '--yes', '--json'],
    );
    expect(stderr).not.toContain('safe:');
    expect(JSON.parse(stdout)).toMatchObject({ into: 'live', verified: true, keys: { kept: 0, replaced: 0 } });
    expect(code).toBe(0);
    expect(await dataDigest(orders)).toBe(digest);
  });
});
