import { ActivityFailure, ApplicationFailure, TimeoutFailure } from '@temporalio/workflow';

/** The code of the RewindError behind a failure, or the kind of failure where there was none. */
export function failureCode(error: unknown): string {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure) return cause.type ?? 'UNKNOWN';
  if (cause instanceof TimeoutFailure) return `TIMEOUT_${cause.timeoutType}`;
  return 'UNKNOWN';
}

/** What a person reads of a failure: the innermost message. */
export function sentenceOf(error: unknown): string {
  const cause = error instanceof ActivityFailure ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message : String(cause);
}

/** The failure of a run whose backup a check contradicted: the backup is kept, but out of reach. */
export function contradicted(backup: { readonly id: string; readonly reason?: string }): ApplicationFailure {
  return ApplicationFailure.create({
    type: 'BACKUP_CONTRADICTED',
    nonRetryable: true,
    message: `${backup.id}: ${backup.reason}`,
  });
}
