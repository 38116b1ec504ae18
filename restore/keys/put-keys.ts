import { RewindError } from '../../errors/rewind-error.ts';
import { siblingScript } from '../../process/sibling-script.ts';
import type { StepIO, StepProgress } from '../../process/step-io.ts';
import { startWork } from '../../process/work-process.ts';
import type { PutKeysCursor } from './cursor.ts';
import type { PutKeysFigures } from './figures.ts';
import type { PutKeysTask } from './put-keys-task.ts';

export type { PutKeysCursor } from './cursor.ts';
export type { TtlMode } from './expiry-rule.ts';
export type { PutKeysFigures } from './figures.ts';
export type { KeySelection } from './key-selection.ts';
export type { FunctionsMode } from './libraries.ts';
export type { OnConflict, PutKeysTask } from './put-keys-task.ts';
export type { PutLimits } from './rate-limit.ts';

/** What the process that puts keys is told. */
export type PutKeysOrder =
  | { readonly begin: PutKeysTask; readonly resumeFrom?: PutKeysCursor }
  /** The cursor of this number was taken note of. */
  | { readonly noted: number }
  | { readonly stop: true };

/** What it tells on its way. */
export type PutKeysNews =
  | { readonly progress: StepProgress }
  | { readonly cursor: PutKeysCursor; readonly number: number };

/** A process that was told to stop takes in the answers that are under way; then it is ended. */
const stopWithinMs = 15_000;

/**
 * Puts keys from a dump straight into a live server: each key's bytes are cut out of the file and sent as RESTORE, many
 * under way at once; no second copy of the data set is held anywhere. Runs in a process of its own, so that the caller's
 * event loop stays free; memory does not grow with the dump or its values.
 *
 * Killed anywhere, called again with the last cursor that `onCursor` was given, or with none, it goes on where it was, and
 * the end is the same: what an attempt before put counts as put. `onCursor` is called before anything that the cursor
 * announces is sent; `<namesFile>.cursor` keeps the same on disk, for a caller whose own is late.
 *
 * Conflicts: `keep-live` never replaces a live key. `take-backup` replaces it; the key is listed in `namesFile` before.
 * Expired keys (by the live server's clock) are never sent: RESTORE with a time that has passed deletes a live key.
 *
 * @throws RewindError RESTORE_KEY_REFUSED with the offset in the dump and the server's words, RESTORE_TARGET_FULL,
 *   RESTORE_TARGET_REFUSES_WRITES, RESTORE_TARGET_FORBIDS, RESTORE_TARGET_SILENT, RESTORE_VALUE_TOO_LONG,
 *   COMMANDS_CANNOT_SAY, RESTORE_FUNCTION_REFUSED, RESTORE_CURSOR_FOREIGN, RESTORE_KEYS_PROCESS_DIED,
 *   RESTORE_KEYS_CANCELLED; those of `walkRdb` (RDB_…) and of `connectRedis` (REDIS_…)
 */
export async function putKeys(
  task: PutKeysTask,
  io: StepIO & { resumeFrom?: PutKeysCursor; onCursor(cursor: PutKeysCursor): void },
): Promise<PutKeysFigures> {
  const { signal, onProgress, onCursor, resumeFrom } = io;
  if (signal.aborted) throw cancelled();
  const script = siblingScript(import.meta.url, './put-keys-child');
  const work = startWork<PutKeysOrder, PutKeysNews, PutKeysFigures>({ script, died, connects: true }, (news) => {
    if ('progress' in news) onProgress(news.progress);
    else {
      onCursor(news.cursor);
      work.tell({ noted: news.number });
    }
  });
  let impatience: NodeJS.Timeout | undefined;
  const stop = () => {
    work.tell({ stop: true });
    impatience = setTimeout(() => work.fail(cancelled()), stopWithinMs);
  };
  signal.addEventListener('abort', stop, { once: true });
  work.tell({ begin: task, resumeFrom });
  try {
    return await work.ended();
  } finally {
    signal.removeEventListener('abort', stop);
    clearTimeout(impatience);
  }
}

function cancelled(): RewindError {
  return new RewindError('RESTORE_KEYS_CANCELLED', 'putting keys was cancelled');
}

function died(how: string, cause?: unknown): RewindError {
  return new RewindError('RESTORE_KEYS_PROCESS_DIED', `the process that puts keys ended ${how} and without a result`, {
    cause,
  });
}
