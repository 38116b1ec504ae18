import { activityInfo, Context, heartbeat } from '@temporalio/activity';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO, StepProgress } from '../process/step-io.ts';
import { afterEarlierAttempts } from './earlier-attempts.ts';

/** What a heartbeat carries: live figures for a person, and a cursor for the attempt that comes after a crash. */
export interface Heartbeat<Cursor> extends StepProgress {
  readonly cursor?: Cursor;
  readonly ratePerSecond?: number;
  readonly etaSeconds?: number;
}

export interface ActivityIO<Cursor> extends StepIO {
  /** The cursor of an earlier attempt; it may be older than what that attempt did last. */
  readonly resumeFrom?: Cursor;
  readonly onCursor: (cursor: Cursor) => void;
}

/**
 * The edge between a domain step and Temporal: heartbeats with figures and cursor, cancellation as an AbortSignal,
 * and errors as failures that say whether the same again can help.
 */
export async function runStep<Result, Cursor = never>(
  step: (io: ActivityIO<Cursor>) => Promise<Result>,
): Promise<Result> {
  const info = activityInfo();
  const context = Context.current();
  const earlier = info.heartbeatDetails as Heartbeat<Cursor> | undefined;
  const startedAt = Date.now();
  let cursor = earlier?.cursor;
  let last: StepProgress = {};
  const beat = () => {
    const seconds = (Date.now() - startedAt) / 1000;
    const ratePerSecond = last.done && seconds > 0 ? Math.round(last.done / seconds) : undefined;
    const etaSeconds = ratePerSecond && last.total ? Math.ceil((last.total - last.done!) / ratePerSecond) : undefined;
    heartbeat({ ...last, ratePerSecond, etaSeconds, cursor } satisfies Heartbeat<Cursor>);
  };
  // A step that waits (for a save, for a store that is slow) has nothing to report but that it lives.
  const timer = setInterval(beat, Math.max(250, (info.heartbeatTimeoutMs ?? 20_000) / 4));
  const key = `${info.activityType} ${info.activityId} of ${info.workflowExecution?.runId}`;
  const signal = context.cancellationSignal;
  try {
    return await afterEarlierAttempts(key, { signal }, () =>
      step({
        signal,
        resumeFrom: earlier?.cursor,
        onProgress: (progress) => {
          last = progress;
        },
        onCursor: (next) => {
          cursor = next;
          beat();
        },
      }),
    );
  } catch (error) {
    if (context.cancellationSignal.aborted) throw new CancelledFailure('cancelled', [], error as Error);
    throw toFailure(error);
  } finally {
    clearInterval(timer);
  }
}

/** @returns the failure that carries a RewindError's code as its type, and `safe` and `next` as its details */
export function toFailure(error: unknown): Error {
  if (error instanceof RewindError) {
    return ApplicationFailure.create({
      type: error.code,
      message: error.message,
      nonRetryable: !error.retryable,
      details: [{ safe: error.safe, next: error.next, ...error.details }],
    });
  }
  return error instanceof Error ? error : new Error(String(error));
}
