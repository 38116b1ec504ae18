import { siblingScript } from '../../process/sibling-script.ts';
import type { StepIO } from '../../process/step-io.ts';
import { inOwnProcess } from '../compare/own-process.ts';
import type { DiffOptions, DiffResult, DiffSide } from './diff-here.ts';

export type { DiffCounts, DiffOptions, DiffResult, DiffSide } from './diff-here.ts';

/** What the process that compares is told. */
export interface DiffOrder {
  readonly a: DiffSide;
  readonly b: DiffSide;
  readonly options: DiffOptions;
}

/**
 * Tells which keys differ between two sides by content: from A to B. Both are read once; memory does not grow with the
 * number of keys. When a stream's consumers were last seen is not compared, and of streams no more than both sides keep.
 *
 * @throws RewindError COMPARE_REFUSED, COMPARE_DIED; those of `walkRdb` (RDB_…) and `connectRedis` (REDIS_…); the
 *   signal's reason
 */
export function diffContents(a: DiffSide, b: DiffSide, options: DiffOptions, io: StepIO): Promise<DiffResult> {
  const order: DiffOrder = { a, b, options };
  return inOwnProcess<DiffResult, never>(siblingScript(import.meta.url, './diff-child'), order, io);
}
