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

/** Lets a plan through that can be carried out. @throws RESTORE_REFUSED with every reason why it cannot */
export function refuseOrGo<T extends { readonly refusals: readonly string[] }>(plan: T): T {
  if (plan.refusals.length === 0) return plan;
  throw ApplicationFailure.create({ type: 'RESTORE_REFUSED', nonRetryable: true, message: plan.refusals.join(' ') });
}
