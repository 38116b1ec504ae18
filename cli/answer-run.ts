import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Client,
  QueryNotRegisteredError,
  type WorkflowExecutionDescription,
  type WorkflowHandle,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { type ErrorCode, errorCatalogue } from '../errors/catalogue.ts';
import { RewindError } from '../errors/rewind-error.ts';
import type { AnswerKind } from '../workflows/gate-decision.ts';
import type { Answered } from '../workflows/gate-messages.ts';
import type { GateShown } from '../workflows/gate-shown.ts';
import type { Progress } from '../workflows/run-story.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';

/** A run that is asked something, and what. */
export interface AskedRun {
  readonly handle: WorkflowHandle;
  readonly workflowId: string;
  readonly runId: string;
  readonly gate: GateShown;
}

/** What is sent; INTERFACE, section 4. */
export interface AnswerPayload {
  readonly approver: string;
  readonly gate?: string;
  readonly plan?: string;
  readonly choice?: string;
  readonly reason?: string;
  readonly input?: Readonly<Record<string, unknown>>;
}

/** A worker that is there answers in milliseconds; one that replays a long history first, in a few seconds. */
const SILENT_MS = 20_000;

/**
 * Finds the run that is meant, and what it waits for.
 *
 * @param named its workflow id, or the name of an instance with one run that waits
 * @param step of several parked ones
 * @throws RUN_UNKNOWN, RUN_SILENT; ANSWER_REFUSED when it asks nothing of this kind
 */
export async function findAskedRun(client: Client, named: string, kind: AnswerKind, step?: string): Promise<AskedRun> {
  const { workflowId, runId, status } = await describeRun(client, named);
  if (status.name !== 'RUNNING') {
    throw new RewindError('ANSWER_REFUSED', `${workflowId} waits for nobody any more: it is ${status.name}.`, {
      safe: 'Nothing was answered or changed.',
      next: 'See what waits now: rewind status',
    });
  }
  const handle = client.workflow.getHandle(workflowId, runId);
  const progress = await progressOf(client, handle);
  const parked = progress.parked ?? [];
  const gate =
    kind === 'approve' || kind === 'reject'
      ? [progress.gate].find((shown) => shown && !shown.parked)
      : (parked.find((shown) => shown.parked?.step === step) ?? (step === undefined ? parked[0] : undefined));
  if (!gate) throw new RewindError('ANSWER_REFUSED', nothingToAnswer(workflowId, kind, progress, step));
  return { handle, workflowId, runId, gate };
}

/**
 * Sends an answer as an update, and waits for what the run says to it. Sent again it is the same answer: its id is bound
 * to what was shown, to the approver and to what that one had approved before.
 *
 * @throws ANSWER_REFUSED, ANSWER_INVALID, RUN_UNKNOWN; RUN_SILENT when nobody took it in time
 */
export async function sendAnswer(
  client: Client,
  run: AskedRun,
  kind: AnswerKind,
  payload: AnswerPayload,
): Promise<Answered> {
  const { handle, workflowId } = run;
  const before = run.gate.approvers?.find(({ approver }) => approver === payload.approver)?.at;
  const bound = JSON.stringify([run.runId, kind, run.gate.showing, run.gate.plan, payload, before]);
  const updateId = `${kind}-${createHash('sha256').update(bound).digest('hex').slice(0, 32)}`;
  try {
    return await client.withDeadline(Date.now() + SILENT_MS, () =>
      handle.executeUpdate<Answered, [AnswerPayload]>(kind, { args: [payload], updateId }),
    );
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError) throw refusalOf(error);
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) throw silent(workflowId);
    if (error instanceof WorkflowNotFoundError) {
      throw new RewindError('ANSWER_REFUSED', `${workflowId} ended before the answer came.`);
    }
    throw error;
  }
}

/** @throws RUN_SILENT; ANSWER_REFUSED for a workflow that never asks */
export async function progressOf(client: Client, handle: WorkflowHandle, withinMs = SILENT_MS): Promise<Progress> {
  const until = Date.now() + withinMs;
  for (;;) {
    try {
      return await client.withDeadline(until, () => handle.query<Progress>('progress'));
    } catch (error) {
      if (error instanceof QueryNotRegisteredError) {
        throw new RewindError('ANSWER_REFUSED', `${handle.workflowId} is a workflow that never waits for a person.`);
      }
      // A worker that has just been started is not known to the server at once.
      if (Date.now() + 500 > until) throw silent(handle.workflowId, error);
      await sleep(500);
    }
  }
}

async function describeRun(client: Client, named: string): Promise<WorkflowExecutionDescription> {
  try {
    return await client.workflow.getHandle(named).describe();
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    const waiting = await waitingOf(client, named);
    const [only] = waiting;
    if (waiting.length === 1 && only) return client.workflow.getHandle(only).describe();
    const several = waiting.length > 1 ? ` Of the instance ${named} these wait: ${waiting.join(', ')}.` : '';
    throw new RewindError('RUN_UNKNOWN', `There is no workflow ${named}.${several}`);
  }
}

/** The runs of an instance that wait for a person; their ids say nothing here. */
async function waitingOf(client: Client, instance: string): Promise<readonly string[]> {
  if (!/^[\w.-]+$/.test(instance)) return [];
  const { instance: ofInstance, phase } = searchAttributes;
  const query = `${ofInstance.name} = '${instance}' AND ${phase.name} IN ('waiting-for-approval', 'parked') AND ExecutionStatus = 'Running'`;
  const found: string[] = [];
  for await (const { workflowId } of client.workflow.list({ query })) found.push(workflowId);
  return found;
}

function nothingToAnswer(workflowId: string, kind: AnswerKind, { phase, gate, parked }: Progress, step?: string) {
  if (parked?.length && step !== undefined) {
    return `${step} is not parked in ${workflowId}; ${parked.map((shown) => shown.parked?.step).join(', ')} is.`;
  }
  if (gate && !gate.parked) return `${workflowId} waits at the gate ${gate.name}: approve or reject.`;
  if (gate?.parked)
    return `${workflowId} is parked at ${gate.parked.step}: ${gate.choices.map(({ id }) => id).join(', ')}.`;
  return `${workflowId} (${phase}) asks nothing now; there is nothing to ${kind}.`;
}

function silent(workflowId: string, cause?: unknown): RewindError {
  const why = (cause as { details?: unknown } | undefined)?.details;
  const told = typeof why === 'string' ? ` (${why})` : '';
  return new RewindError('RUN_SILENT', `${workflowId} does not answer: no orchestrator carries it on${told}.`, {
    cause,
  });
}

/** What the run itself, or the form of the answer, said against it. */
function refusalOf({ cause, message }: WorkflowUpdateFailedError): RewindError {
  const code =
    cause instanceof ApplicationFailure && cause.type && cause.type in errorCatalogue ? cause.type : undefined;
  return new RewindError((code as ErrorCode | undefined) ?? 'ANSWER_REFUSED', cause?.message ?? message);
}
