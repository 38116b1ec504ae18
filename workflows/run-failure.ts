import { ApplicationFailure } from '@temporalio/workflow';
import type { ErrorCode } from '../errors/catalogue.ts';

/** A failure that a workflow finds itself: the same form as the one that an activity's error gets. */
export function runFailure(
  code: ErrorCode,
  message: string,
  details: Record<string, unknown> = {},
): ApplicationFailure {
  return ApplicationFailure.create({ type: code, nonRetryable: true, message, details: [details] });
}
