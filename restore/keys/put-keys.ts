import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { siblingScript } from '../../process/sibling-script.ts';
import type { StepIO, StepProgress } from '../../process/step-io.ts';
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

/** What it tells. */
export type PutKeysNews =
  | { readonly progress: StepProgress }
  | { readonly cursor: PutKeysCursor; readonly number: number }
  | { readonly done: PutKeysFigures }
  | {
      readonly failed: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly safe: string;
        readonly next: string;
        readonly details: Readonly<Record<string, unknown>>;
      };
    };

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
  const { promise, resolve, reject } = Promise.withResolvers<PutKeysFigures>();
  const child = startProcess();
  const tell = (order: PutKeysOrder) => child.connected && child.send(order, () => {});
  const ended = endOf(child);
  ended.then(reject);
  child.on('message', (news: PutKeysNews) => {
    if ('progress' in news) onProgress(news.progress);
    else if ('cursor' in news) {
      try {
        onCursor(news.cursor);
        tell({ noted: news.number });
      } catch (error) {
        reject(error);
      }
    } else if ('done' in news) resolve(news.done);
    else reject(new RewindError(news.failed.code, news.failed.message, news.failed));
  });
  let impatience: NodeJS.Timeout | undefined;
  const stop = () => {
    tell({ stop: true });
    impatience = setTimeout(() => reject(cancelled()), stopWithinMs);
  };
  signal.addEventListener('abort', stop, { once: true });
  tell({ begin: task, resumeFrom });
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
    clearTimeout(impatience);
    child.kill('SIGKILL');
    await ended;
  }
}

function startProcess(): ChildProcess {
  const { LD_LIBRARY_PATH, NODE_COMPILE_CACHE, NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, SSL_CERT_DIR } = process.env;
  return fork(fileURLToPath(siblingScript(import.meta.url, './put-keys-child')), [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
    execArgv: [],
    // The password comes with the task; of this process' environment it needs nothing but where libraries and
    // certificates are, and its own code compiled.
    env: definedOnly({ LD_LIBRARY_PATH, NODE_COMPILE_CACHE, NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, SSL_CERT_DIR }),
  });
}

function definedOnly(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
}

/** Settles when the process is gone, or could not be started, with what that means where no result came before. */
function endOf(child: ChildProcess): Promise<RewindError> {
  return new Promise((resolve) => {
    child.once('exit', (code, killed) => resolve(died(killed === null ? `with code ${code}` : `by ${killed}`)));
    child.once('error', (cause) => resolve(died(`before it began: ${cause.message}`, cause)));
  });
}

function cancelled(): RewindError {
  return new RewindError('RESTORE_KEYS_CANCELLED', 'putting keys was cancelled');
}

function died(how: string, cause?: unknown): RewindError {
  return new RewindError('RESTORE_KEYS_PROCESS_DIED', `the process that puts keys ended ${how} and without a result`, {
    cause,
  });
}
