import { RewindError } from '../errors/rewind-error.ts';
import type { Failure } from './finding.ts';

/** What went wrong is itself something that was found. */
export function failureOf(error: unknown): Failure {
  if (error instanceof RewindError) return { code: error.code, message: error.message, next: error.next };
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'UNEXPECTED', message, next: 'DEBUG=redis-rewind rewind check, and report what it prints' };
}

/** The answer, or what went wrong instead: nothing that is looked at stops the look at the rest. */
export async function orFailure<T>(ask: () => Promise<T>): Promise<T | { failure: Failure }> {
  try {
    return await ask();
  } catch (error) {
    return { failure: failureOf(error) };
  }
}
