import { randomUUID } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import { type Client, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { PublishedBackup } from '../backup/publish.ts';
import { type ErrorCode, errorCatalogue } from '../errors/catalogue.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';
import { followRun } from './follow-run.ts';
import { gateNotice } from './gate-notice.ts';
import type { CliContext } from './main.ts';
import { progressView } from './progress-view.ts';

export interface WorkflowToRun {
  readonly type: string;
  readonly workflowId: string;
  /** What the list of workflows in the UI says of it. */
  readonly summary: string;
  readonly input: { readonly instance: string };
}

/** What the workflows on one backup answer. */
export interface BackupResult {
  readonly instance: string;
  readonly backup: PublishedBackup;
}

/**
 * Starts a workflow and follows it to its end. At each gate it says what is asked and how to answer.
 *
 * @throws what a step of it threw; FOLLOW_LOST, with the workflow running on, when this process has to let go of it
 */
export async function runWorkflow<Result = BackupResult>(
  client: Client,
  context: Pick<CliContext, 'output' | 'signal'>,
  { type, workflowId, summary, input }: WorkflowToRun,
): Promise<Result> {
  const handle = await client.workflow.start(type, {
    taskQueue: 'rewind',
    workflowId,
    // A runbook's id names its instance: while one runs, asking for it again is following it.
    workflowIdConflictPolicy: 'USE_EXISTING',
    args: [input],
    staticSummary: summary,
    memo: { starter: claimedName() },
    typedSearchAttributes: [{ key: searchAttributes.instance, value: input.instance }],
  });
  context.output.log(`${summary}: workflow ${handle.workflowId}`);
  try {
    return await followRun<Result>(handle, progressView(input.instance, process.stderr), context.signal, (gate) =>
      context.output.log(gateNotice(handle.workflowId, gate, process.stderr.isTTY)),
    );
  } catch (error) {
    if (error instanceof WorkflowFailedError) throw rewindErrorOf(error);
    throw new RewindError('FOLLOW_LOST', `${handle.workflowId} is not followed any more: ${(error as Error).message}`, {
      next: `temporal workflow result --workflow-id ${handle.workflowId} --namespace ${client.options.namespace}`,
      cause: error,
    });
  }
}

export const backupOf = (instance: string): WorkflowToRun => ({
  type: 'scheduledBackup',
  workflowId: timedId('backup', instance),
  summary: `Backup of ${instance}`,
  input: { instance },
});

/** `<kind>/<instance>-<time>-<4 hex>`: for what may run again and again. */
export function timedId(kind: string, instance: string): string {
  const time = new Date().toISOString().replace(/\.\d+/, '');
  return `${kind}/${instance}-${time}-${randomUUID().slice(0, 4)}`;
}

/** The error that ended a workflow, as the step that met it threw it. */
function rewindErrorOf(error: WorkflowFailedError): Error {
  let cause: unknown = error.cause;
  while (cause instanceof Error && !(cause instanceof ApplicationFailure) && cause.cause) cause = cause.cause;
  if (cause instanceof ApplicationFailure && cause.type && cause.type in errorCatalogue) {
    const [told] = (cause.details ?? []) as { safe?: string; next?: string }[];
    return new RewindError(cause.type as ErrorCode, cause.message, { safe: told?.safe, next: told?.next });
  }
  return cause instanceof Error ? cause : error;
}

/** The line that a person waits for. */
export function sentenceOfBackup(backup: PublishedBackup): string {
  const why = backup.reason ? ` (${backup.reason})` : '';
  const flag = backup.flagged ? `\n  FLAGGED: ${backup.flagged}` : '';
  return `backup ${backup.id} ${backup.state}: ${backup.keys} keys${why}${flag}`;
}

/** Who says to have started it: a claim, kept so that a gate can leave the starter out. */
export function claimedName(): string {
  return `${userInfo().username}@${hostname()}`;
}
