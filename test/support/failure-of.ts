import { WorkflowFailedError, type WorkflowHandle } from '@temporalio/client';
import { ActivityFailure, ApplicationFailure, CancelledFailure } from '@temporalio/common';

/** How a run failed, as an operator reads it. */
export interface RunFailure {
  readonly code: string;
  readonly message: string;
}

/** Waits for the end of a run that is expected to fail. */
export async function failureOf(run: WorkflowHandle): Promise<RunFailure> {
  try {
    await run.result();
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    const failure = error.cause instanceof ActivityFailure ? error.cause.cause : error.cause;
    if (failure instanceof CancelledFailure) return { code: 'CANCELLED', message: failure.message };
    if (failure instanceof ApplicationFailure) return { code: failure.type ?? '', message: failure.message };
    return { code: failure?.name ?? 'UNKNOWN', message: failure?.message ?? '' };
  }
  throw new Error('the run did not fail');
}
