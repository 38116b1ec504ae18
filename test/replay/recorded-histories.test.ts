import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { describe, expect, inject, test } from 'vitest';
import { workflowCode } from '../../workers/workflow-code.ts';
import { followable } from '../support/archive.ts';
import { connectTo, fillEveryType, slowSaves, untilSaving } from '../support/dataset.ts';
import { startDeployment } from '../support/deployment.ts';
import { recordedHistories, recordHistory } from '../support/recorded-history.ts';
import { startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

// A history that does not fit is what one test is about; it needs no page of the worker's log.
Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined) });

const { History } = proto.temporal.api.history.v1;

/** What these runs went through, each of the version that a folder under histories/ is named after. */
const kinds = [
  'accidental-flush',
  'accidental-flush-at-its-gate',
  'accidental-flush-replay',
  'accidental-flush-replay-at-its-gate',
  'backup-by-replication',
  'backup-cancelled-in-its-save',
  'backup-from-dump-file',
  'backup-refused',
  'backup-whose-save-was-lost',
  'check',
  'data-corruption',
  'data-corruption-at-its-gate',
  'node-crash',
  'node-crash-at-its-gate',
  'owner',
  'restore',
  'restore-at-its-gate',
  'ship-aof',
  'ship-aof-switched-off',
  'verify',
];

/** A run that was begun before an update of the workers has to end on the new ones. */
describe('a run of an earlier version goes on in this one', async () => {
  const histories = await recordedHistories();

  test('every kind of run was recorded', () => {
    expect([...new Set(histories.map(({ name }) => name.split('/')[1]))].sort()).toEqual(kinds);
  });

  test('each of them replays', async () => {
    const failures: string[] = [];
    const replayed: string[] = [];
    for await (const { workflowId, error } of Worker.runReplayHistories(workflowCode(), histories)) {
      replayed.push(workflowId);
      if (error) {
        const name = histories.find((each) => each.workflowId === workflowId)?.name;
        failures.push(`${name}: ${error.message}`);
      }
    }
    expect(failures).toEqual([]);
    expect(replayed).toHaveLength(histories.length);
  });

  test('one whose steps came in another order does not: the replay sees what changed', async () => {
    const { workflowId, history } = histories.find(({ name }) => name.endsWith('backup-from-dump-file'))!;
    const changed = History.fromObject(History.toObject(history));
    for (const event of changed.events ?? []) {
      const scheduled = event.activityTaskScheduledEventAttributes;
      if (scheduled?.activityType?.name === 'pin') scheduled.activityType.name = 'upload';
    }
    await expect(Worker.runReplayHistory(workflowCode(), changed, workflowId)).rejects.toThrow(
      DeterminismViolationError,
    );
  });
});

/**
 * `RECORD_HISTORIES=1 npm test -- test/replay/recorded` adds those of this version. A version that was published keeps its
 * histories for ever: a workflow that must differ asks `patched()` which way a run began.
 */
test.runIf(process.env.RECORD_HISTORIES)('records the histories of this version', { timeout: 300_000 }, async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  await using repository = await temporaryFolder('repository');
  const [redis, streamed, followed] = await Promise.all([
    startRedis(),
    startRedis(),
    startRedis({ config: followable }),
  ]);
  await Promise.all([fillEveryType(redis), fillEveryType(streamed)]);
  // Who may not ask where the dump lies has it streamed.
  const admin = await connectTo(streamed);
  await admin.acl('SETUSER', 'backup', 'on', '>only-for-this-test', '~*', '&*', '+@all', '-config');
  const deployment = await startDeployment({
    temporal: inject('temporal'),
    env: { BACKUP_PASSWORD: 'only-for-this-test' },
    config: {
      repository: { url: `file://${repository.path}` },
      instances: {
        orders: { url: `redis://127.0.0.1:${redis.port}` },
        followed: { url: `redis://127.0.0.1:${followed.port}`, archive: { segmentEvery: '200ms' }, host: {} },
        streamed: { url: `redis://backup@127.0.0.1:${streamed.port}`, password: { env: 'BACKUP_PASSWORD' } },
      },
    },
  });
  const names = {
    [repository.path]: '/srv/backups',
    [redis.dir]: '/var/lib/redis',
    [`127.0.0.1:${redis.port}`]: '127.0.0.1:6379',
    [followed.dir]: '/var/lib/followed',
    [`127.0.0.1:${followed.port}`]: '127.0.0.1:6381',
    [`127.0.0.1:${streamed.port}`]: '127.0.0.1:6380',
    [deployment.client.options.namespace]: 'default',
    [fileURLToPath(new URL('../..', import.meta.url))]: '/opt/redis-rewind/',
  };
  const record = async (name: string, run: WorkflowHandle) => {
    await run.result().catch(() => undefined);
    await recordHistory(run, version, name, names);
  };
  const started = (type: string, input: object) =>
    deployment.client.workflow.start(type, {
      taskQueue: 'rewind',
      workflowId: `${type}/${version}-${randomUUID()}`,
      args: [input],
    });
  try {
    const shipping = await started('shipAof', { instance: 'followed', forMs: 2_000 });
    const first = deployment.client.workflow.getHandle(shipping.workflowId, shipping.firstExecutionRunId);
    const state = async (of: WorkflowHandle) => (await of.describe()).status.name;
    await expect.poll(() => state(first), { timeout: 120_000 }).toBe('CONTINUED_AS_NEW');
    await recordHistory(first, version, 'ship-aof', names);
    await shipping.terminate();
    const switchedOff = await started('shipAof', { instance: 'followed' });
    const follows = async () => (await switchedOff.describe()).raw.pendingActivities?.[0]?.activityType?.name;
    await expect.poll(follows, { timeout: 120_000 }).toBe('followAof');
    await switchedOff.cancel();
    await record('ship-aof-switched-off', switchedOff);

    const run = await deployment.startBackup('orders');
    const { backup } = await run.result();
    await record('backup-from-dump-file', run);
    const [child] = ((await run.fetchHistory()).events ?? []).flatMap(
      (event) => event.childWorkflowExecutionStartedEventAttributes?.workflowExecution ?? [],
    );
    await record('owner', deployment.client.workflow.getHandle('owner/orders', child?.runId ?? undefined));
    await record('backup-by-replication', await deployment.startBackup('streamed'));
    await record('verify', await started('verifyBackup', { instance: 'orders', backup: backup.id }));
    await record('check', await started('checkInstance', { instance: 'orders' }));

    await slowSaves(redis, 4);
    const lost = await deployment.startBackup('orders');
    await untilSaving(redis);
    await redis.kill9();
    await redis.restart();
    await record('backup-whose-save-was-lost', lost);

    await slowSaves(redis, 4);
    const cancelled = await deployment.startBackup('orders');
    await untilSaving(redis);
    await cancelled.cancel();
    await record('backup-cancelled-in-its-save', cancelled);

    const live = await connectTo(redis);
    await live.replicaof('127.0.0.1', 1);
    live.disconnect();
    await record('backup-refused', await deployment.startBackup('orders'));
  } finally {
    admin.disconnect();
    await deployment.stop();
    await Promise.all([redis.stop(), streamed.stop()]);
  }
});
