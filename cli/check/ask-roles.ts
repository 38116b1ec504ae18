import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, WorkflowHandle } from '@temporalio/client';
import type { CheckInstanceInput, CheckInstanceResult } from '../../workflows/check-instance.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';

/** An orchestrator that is there takes a new workflow at once, in milliseconds. */
const ORCHESTRATOR_SILENCE_MS = 15_000;
/** The event that says that a worker took the workflow's first task. */
const TAKEN_AT_EVENT = 3;

/**
 * Has every role look at an instance, as a workflow: the only way to where they run.
 *
 * @returns undefined where no orchestrator took it
 */
export async function askRoles(
  client: Client,
  input: CheckInstanceInput,
  signal: AbortSignal,
): Promise<CheckInstanceResult | undefined> {
  const time = new Date().toISOString().replace(/\.\d+/, '');
  const handle = await client.workflow.start('checkInstance', {
    taskQueue: 'rewind',
    workflowId: `check/${input.instance}-${time}-${randomUUID().slice(0, 4)}`,
    args: [input],
    staticSummary: `Check of ${input.instance}`,
    typedSearchAttributes: [{ key: searchAttributes.instance, value: input.instance }],
    // Whoever asks has long given up.
    workflowExecutionTimeout: '5m',
  });
  const result = handle.result() as Promise<CheckInstanceResult>;
  result.catch(() => undefined);
  if (await isTaken(handle, result, signal)) return result;
  await handle.terminate('no orchestrator took it').catch(() => undefined);
  return undefined;
}

async function isTaken(handle: WorkflowHandle, result: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  const until = Date.now() + ORCHESTRATOR_SILENCE_MS;
  const ended = result.then(
    () => true,
    () => true,
  );
  while (Date.now() < until) {
    if (await Promise.race([ended, sleep(500, false, { signal })])) return true;
    if ((await handle.describe()).historyLength >= TAKEN_AT_EVENT) return true;
  }
  return false;
}
