import { siblingScript } from '../../process/sibling-script.ts';
import type { StepIO } from '../../process/step-io.ts';
import type { CompareIO } from './compare-here.ts';
import type { CompareCursor, CompareFigures, CompareTask } from './compare-task.ts';
import { inOwnProcess } from './own-process.ts';

export type { CompareCursor, CompareFigures, CompareTask } from './compare-task.ts';

/** What the process that compares is told. */
export interface CompareOrder {
  readonly task: CompareTask;
  readonly resumeFrom?: CompareCursor;
}

/** Keys that are compared before writes are let in again, unless all are. */
export const SAMPLE_KEYS = 10_000;

/**
 * Compares so many keys by content, chosen by chance, the same for the same seed: where nobody writes, a difference is
 * the restore's.
 *
 * @throws as `compareAll`
 */
export function compareSample(
  task: Omit<CompareTask, 'sample' | 'keysPerSecond'>,
  seed: number,
  io: StepIO,
  count = SAMPLE_KEYS,
): Promise<CompareFigures> {
  return compareKeys({ ...task, sample: { count, seed } }, { ...io, onCursor: () => {} });
}

/**
 * Compares every key by content, in a process of its own; memory does not grow with the dump. Killed anywhere and called
 * again with the last cursor that `onCursor` was given, it goes on there.
 *
 * @throws RewindError COMPARE_REFUSED, COMPARE_DIED; those of `walkRdb` (RDB_…) and `connectRedis` (REDIS_…); rejects with
 *   the signal's reason
 */
export function compareAll(task: Omit<CompareTask, 'sample'>, io: CompareIO): Promise<CompareFigures> {
  return compareKeys(task, io);
}

function compareKeys(task: CompareTask, io: CompareIO): Promise<CompareFigures> {
  const order: CompareOrder = { task, resumeFrom: io.resumeFrom };
  return inOwnProcess<CompareFigures, CompareCursor>(siblingScript(import.meta.url, './compare-child'), order, io);
}
