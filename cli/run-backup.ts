import { randomUUID } from 'node:crypto';
import { type Client, WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { PublishedBackup } from '../backup/publish.ts';
import { type ErrorCode, errorCatalogue } from '../errors/catalogue.ts';
import { RewindError } from '../errors/rewind-error.ts';
import type { ScheduledBackupResult } from '../workflows/scheduled-backup.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';
import { followRun } from './follow-run.ts';
import type { Output } from './output.ts';
import { progressView } from './progress-view.ts';

/** Starts `scheduledBackup` for an instance and follows it to its end. */
export async function runBackup(
  client: Client,
  instance: string,
  output: Output,
  signal: AbortSignal,
): Promise<ScheduledBackupResult> {
  const handle = await client.workflow.start('scheduledBackup', {
    taskQueue: 'rewind',
    workflowId: `backup/${instance}-${new Date().toISOString().replace(/\.\d+/, '')}-${randomUUID().slice(0, 4)}`,
    args: [{ instance }],
    staticSummary: `Backup of ${instance}`,
    typedSearchAttributes: [{ key: searchAttributes.instance, value: instance }],
  });
  output.log(`backup of ${instance}: workflow ${handle.workflowId}`);
  try {
    return await followRun(handle, progressView(instance, process.stderr), signal);
  } catch (error) {
    throw error instanceof WorkflowFailedError ? rewindErrorOf(error) : error;
  }
}

/** The error that ended a workflow, as the step that met it threw it. */
export function rewindErrorOf(error: WorkflowFailedError): Error {
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
