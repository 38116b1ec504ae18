import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { registerSearchAttributes } from '../../workers/register-search-attributes.ts';
import type { Answered } from '../../workflows/gate-messages.ts';
import { bundleGates, untilAsked } from '../support/gate-worker.ts';
import type { GatedInput, GatedResult } from '../support/gate-workflows.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const { address, namespace } = inject('temporal');
const main = fileURLToPath(new URL('../support/gate-worker-main.ts', import.meta.url));
const taskQueue = `gates-${randomUUID()}`;
let connection: Connection;
let client: Client;
let folder: TemporaryFolder;
let codePath: string;
let worker: ChildProcess;

async function start(): Promise<void> {
  worker = spawn(process.execPath, [main, address, namespace, taskQueue, codePath], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    worker.once('exit', (code) => reject(new Error(`the worker ended with ${code}`)));
  });
}

async function kill9(): Promise<void> {
  const gone = new Promise((resolve) => worker.once('exit', resolve));
  worker.kill('SIGKILL');
  await gone;
}

beforeAll(async () => {
  connection = await Connection.connect({ address });
  client = new Client({ connection, namespace });
  await registerSearchAttributes(client, { withinMs: 60_000 });
  folder = await temporaryFolder('gate-killed');
  codePath = join(folder.path, 'bundle.js');
  await writeFile(codePath, (await bundleGates()).code);
  await start();
});

afterAll(async () => {
  await kill9();
  await connection.close();
  await folder.remove();
});

async function asked(input: Partial<GatedInput> = {}): Promise<WorkflowHandle<() => Promise<GatedResult>>> {
  const run = await client.workflow.start('gatedRun', {
    taskQueue,
    workflowId: `gates/${randomUUID()}`,
    args: [{ instance: 'orders', approval: { required: 2, timeoutMs: 600_000 }, ...input }],
  });
  await untilAsked(run);
  return run as never;
}

const approve = (run: WorkflowHandle, approver: string, updateId?: string) =>
  run.executeUpdate<Answered, [unknown]>('approve', { args: [{ approver }], updateId });

it('a worker that is killed while a gate waits: what was approved stands, and signals sent meanwhile count', async () => {
  const run = await asked();
  await approve(run, 'alice');
  await kill9();
  await run.signal('approve', { approver: 'bob' });
  await start();
  const { answers, failure } = await run.result();
  expect(failure).toBeUndefined();
  expect(answers[0]?.approvals.map(({ approver }) => approver)).toEqual(['alice', 'bob']);
});

it('the gate that a new worker shows is the very same: plan, showing, deadline, approvals', async () => {
  const run = await asked();
  await approve(run, 'alice');
  const before = await untilAsked(run);
  await kill9();
  await start();
  expect(await untilAsked(run)).toEqual(before);
  await run.terminate();
});

it('an update that nobody took is taken by the next worker, and the same id sent again is the same approval', async () => {
  const run = await asked();
  await kill9();
  const waiting = approve(run, 'alice', 'alice-1');
  const again = approve(run, 'alice', 'alice-1');
  await start();
  expect(await waiting).toMatchObject({ accepted: true, approvals: 1, required: 2 });
  expect(await again).toEqual(await waiting);
  await approve(run, 'bob');
  const { decisions } = await run.result();
  expect(decisions.filter(({ what }) => what === 'answered')).toHaveLength(2);
});

it('a worker that is killed at the moment of an answer: the answer counts exactly once', async () => {
  for (let round = 0; round < 2; round += 1) {
    const run = await asked({ approval: { required: 1, timeoutMs: 600_000 }, second: 'swap' });
    const answered = approve(run, 'alice', 'once').catch((error: unknown) => error);
    await kill9();
    await start();
    await answered;
    expect(await approve(run, 'alice', 'once')).toMatchObject({ accepted: true, gate: 'restore' });
    expect(await untilAsked(run, 'swap')).toMatchObject({ approvals: 0 });
    await approve(run, 'bob');
    const { answers } = await run.result();
    expect(answers.map(({ approvals }) => approvals.map(({ approver }) => approver))).toEqual([['alice'], ['bob']]);
  }
});

it('a deadline that passes while no worker is up rejects as soon as there is one', async () => {
  const run = await asked({ approval: { required: 1, timeoutMs: 4_000 } });
  const { deadline } = await untilAsked(run);
  await kill9();
  await expect.poll(() => Date.now(), { timeout: 30_000 }).toBeGreaterThan(Date.parse(deadline as string));
  await start();
  expect((await run.result()).failure).toMatchObject({ code: 'GATE_TIMED_OUT' });
});
