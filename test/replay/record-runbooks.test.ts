import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import { expect, inject, test } from 'vitest';
import type { Progress } from '../../workflows/run-story.ts';
import { followable } from '../support/archive.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { startDeployment } from '../support/deployment.ts';
import { TOLD_APART_MS } from '../support/flush-incident.ts';
import { recordHistory } from '../support/recorded-history.ts';
import { startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/**
 * `RECORD_HISTORIES=1 npm test -- test/replay/record` adds those of this version: each runbook at its gate, and the same run
 * when it is done.
 */
test.runIf(process.env.RECORD_HISTORIES)('records the runbooks of this version', { timeout: 400_000 }, async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  await using repository = await temporaryFolder('repository');
  const [orders, node] = await Promise.all([startRedis({ config: followable }), startRedis()]);
  await Promise.all([fillEveryType(orders), fillEveryType(node)]);
  const args = ['--port', String(node.port), '--bind', '127.0.0.1', '--dir', node.dir, '--save', ''];
  const deployment = await startDeployment({
    temporal: inject('temporal'),
    config: {
      repository: { url: `file://${repository.path}` },
      instances: {
        orders: { url: `redis://127.0.0.1:${orders.port}`, archive: { segmentEvery: '200ms' }, host: {} },
        node: { url: `redis://127.0.0.1:${node.port}`, host: { service: { process: { args } } } },
      },
    },
  });
  const names = {
    [repository.path]: '/srv/backups',
    [orders.dir]: '/var/lib/redis',
    [`127.0.0.1:${orders.port}`]: '127.0.0.1:6379',
    [node.dir]: '/var/lib/node',
    [`127.0.0.1:${node.port}`]: '127.0.0.1:6380',
    [String(node.port)]: '6380',
    [deployment.home('host')]: '/var/lib/rewind/host',
    [deployment.home('sandbox')]: '/var/lib/rewind/sandbox',
    [deployment.home('orchestrator')]: '/var/lib/rewind/orchestrator',
    [deployment.client.options.namespace]: 'default',
    [fileURLToPath(new URL('../..', import.meta.url))]: '/opt/redis-rewind/',
  };
  const started = (type: string, input: object) =>
    deployment.client.workflow.start(type, {
      taskQueue: 'rewind',
      workflowId: `${type}/${version}-${randomUUID()}`,
      args: [input],
    });
  const atGate = async (run: WorkflowHandle): Promise<Progress> => {
    const progress = () => run.query<Progress>('progress').catch(() => undefined);
    const waits = expect.objectContaining({ phase: 'waiting-for-approval', gate: expect.anything() });
    await expect.poll(progress, { timeout: 120_000, interval: 250 }).toEqual(waits);
    return (await progress())!;
  };
  /** @param choose of the first gate; what comes behind it is approved as it stands */
  const record = async (name: string, run: WorkflowHandle, choose: (choices: string[]) => string | undefined) => {
    const first = await atGate(run);
    // Replayed in one process they have to be two runs.
    const { runId } = await run.describe();
    const another = { [runId]: randomUUID(), [run.workflowId]: `${run.workflowId}-at-its-gate` };
    await recordHistory(run, version, `${name}-at-its-gate`, { ...names, ...another });
    const choice = choose((first.gate?.choices ?? []).map(({ id }) => id));
    // Addresses and folders have other names in what is recorded, and the digest of the plan with them: none is named.
    await run.executeUpdate('approve', { args: [{ approver: 'a person', choice }] });
    await run.result();
    await recordHistory(run, version, name, names);
  };
  const fromBackup = (choices: string[]) => choices.find((id) => id.startsWith('backup:'));
  const flush = async () => {
    const live = await connectTo(orders);
    await live.set('before', 'the flush');
    await new Promise((resolve) => setTimeout(resolve, TOLD_APART_MS));
    await live.flushall();
    await live.set('since', 'the flush');
    live.disconnect();
  };
  try {
    const shipping = await started('shipAof', { instance: 'orders' });
    await Promise.all([deployment.backup('orders'), deployment.backup('node')]);

    await flush();
    const replay = { instance: 'orders', onConflict: 'replay' };
    await record('accidental-flush-replay', await started('recoverAccidentalFlush', replay), () => undefined);
    await flush();
    await record(
      'accidental-flush',
      await started('recoverAccidentalFlush', { instance: 'orders' }),
      () => 'keep-live',
    );
    const restore = { instance: 'orders', into: 'live', onConflict: 'take-backup' };
    await record('restore', await started('restoreToPoint', restore), () => 'nothing-to-keep');
    await shipping.terminate();

    await node.kill9();
    await rm(join(node.dir, 'dump.rdb'), { force: true });
    await record('node-crash', await started('recoverNodeCrash', { instance: 'node' }), fromBackup);

    const live = await connectTo(node);
    await live.save();
    await live.call('SHUTDOWN', 'NOSAVE').catch(() => undefined);
    live.disconnect();
    const dump = join(node.dir, 'dump.rdb');
    const bytes = await readFile(dump);
    await writeFile(dump, bytes.fill(0, bytes.length >> 1, (bytes.length >> 1) + 64));
    await record('data-corruption', await started('recoverDataCorruption', { instance: 'node' }), fromBackup);
  } finally {
    const last = await connectTo(node).catch(() => undefined);
    await last?.call('SHUTDOWN', 'NOSAVE').catch(() => undefined);
    last?.disconnect();
    await deployment.stop();
    await Promise.all([orders.stop(), node.stop()]);
  }
});
