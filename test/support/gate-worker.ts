import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import {
  bundleWorkflowCode,
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type WorkflowBundle,
} from '@temporalio/worker';
import { expect } from 'vitest';
import { answersActivities } from '../../activities/answers.ts';
import { registerSearchAttributes } from '../../workers/register-search-attributes.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { gateTestActivities } from './gate-activities.ts';
import type { GatedInput, GatedResult, ParkedInput, ParkedResult } from './gate-workflows.ts';
import { type TemporaryFolder, temporaryFolder } from './temporary-folder.ts';

const gateWorkflows = fileURLToPath(new URL('./gate-workflows.ts', import.meta.url));
export const payloadConverterPath = fileURLToPath(new URL('../../workflows/payload-converter.ts', import.meta.url));
/** The code of the test workflows. */
export const bundleGates = () => bundleWorkflowCode({ workflowsPath: gateWorkflows, payloadConverterPath });

/** Steps that fail are what these tests are about: only errors of the worker itself are worth a line. */
Runtime.install({ logger: new DefaultLogger('ERROR') });

/** A worker of the workflows that wait, in this process, on a task queue of its own. */
export interface GateWorker {
  readonly client: Client;
  readonly taskQueue: string;
  readonly address: string;
  gated(input?: Partial<GatedInput>, workflowId?: string): Promise<WorkflowHandle<() => Promise<GatedResult>>>;
  parked(
    input: Partial<ParkedInput> & Pick<ParkedInput, 'step'>,
    workflowId?: string,
  ): Promise<WorkflowHandle<() => Promise<ParkedResult>>>;
  /** A file that says what a step does. */
  says(text: object | '', file?: string): Promise<string>;
  /** As when the orchestrator is down. */
  stopWorker(): Promise<void>;
  stop(): Promise<void>;
}

export async function startGateWorker(
  temporal: { address: string; namespace: string },
  bundle?: WorkflowBundle,
): Promise<GateWorker> {
  const folder: TemporaryFolder = await temporaryFolder('gates');
  const taskQueue = `gates-${randomUUID()}`;
  const connection = await Connection.connect({ address: temporal.address });
  const client = new Client({ connection, namespace: temporal.namespace, identity: 'operator@console' });
  await registerSearchAttributes(client, { withinMs: 60_000 });
  const native = await NativeConnection.connect({ address: temporal.address });
  const worker = await Worker.create({
    connection: native,
    namespace: temporal.namespace,
    taskQueue,
    workflowBundle: bundle ?? (await bundleGates()),
    dataConverter: { payloadConverterPath },
    activities: { ...gateTestActivities, ...answersActivities(client) },
  });
  const running = worker.run();
  const started: WorkflowHandle[] = [];
  const start = async (type: string, input: object, workflowId = `gates/${randomUUID()}`) => {
    const run = await client.workflow.start(type, { taskQueue, workflowId, args: [input] });
    started.push(run);
    return run as never;
  };
  return {
    client,
    taskQueue,
    address: temporal.address,
    gated: (input = {}, workflowId) =>
      start('gatedRun', { instance: 'orders', approval: { required: 1, timeoutMs: 600_000 }, ...input }, workflowId),
    parked: (input, workflowId) => start('parkedRun', { instance: 'orders', ...input }, workflowId),
    says: async (text, file = join(folder.path, randomUUID())) => {
      await writeFile(file, text === '' ? '' : JSON.stringify(text));
      return file;
    },
    stopWorker: async () => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await running;
    },
    stop: async () => {
      await Promise.all(started.map((run) => run.terminate().catch(() => undefined)));
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await running;
      await native.close();
      await connection.close();
      await folder.remove();
    },
  };
}

/** Until a run waits for a person at the gate of this name. */
export async function untilAsked(run: WorkflowHandle, name = 'restore'): Promise<NonNullable<Progress['gate']>> {
  let progress: Progress | undefined;
  await expect
    .poll(
      async () => {
        progress = await run.query<Progress>('progress');
        return progress.gate?.name;
      },
      { timeout: 60_000 },
    )
    .toBe(name);
  return progress?.gate as NonNullable<Progress['gate']>;
}
