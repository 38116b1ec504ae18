import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { siblingScript } from '../../process/sibling-script.ts';
import type { StepIO, StepProgress } from '../../process/step-io.ts';
import type { CompareIO } from './compare-here.ts';
import type { CompareCursor, CompareFigures, CompareTask } from './compare-task.ts';

export type { CompareCursor, CompareFigures, CompareTask } from './compare-task.ts';

/** What the process that compares is told. */
export interface CompareOrder {
  readonly task: CompareTask;
  readonly resumeFrom?: CompareCursor;
}

/** What it tells. */
export type CompareNews =
  | { readonly progress: StepProgress }
  | { readonly cursor: CompareCursor }
  | { readonly done: CompareFigures }
  | {
      readonly failed: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly safe: string;
        readonly next: string;
        readonly details: Readonly<Record<string, unknown>>;
      };
    };

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
 * Compares every key by content. Killed anywhere and called again with the last cursor that `onCursor` was given, it
 * goes on there.
 *
 * @throws RewindError COMPARE_REFUSED, COMPARE_DIED; those of `walkRdb` (RDB_…) and `connectRedis` (REDIS_…); rejects with
 *   the signal's reason
 */
export function compareAll(task: Omit<CompareTask, 'sample'>, io: CompareIO): Promise<CompareFigures> {
  return compareKeys(task, io);
}

/** In a process of its own, so that the caller's event loop stays free; memory does not grow with the dump. */
async function compareKeys(task: CompareTask, io: CompareIO): Promise<CompareFigures> {
  const { signal, resumeFrom } = io;
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<CompareFigures>();
  const child = startProcess();
  const ended = endOf(child);
  ended.then(reject);
  child.on('message', (news: CompareNews) => {
    if ('progress' in news) io.onProgress(news.progress);
    else if ('cursor' in news) io.onCursor(news.cursor);
    else if ('done' in news) resolve(news.done);
    else reject(new RewindError(news.failed.code, news.failed.message, news.failed));
  });
  const stop = () => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  child.send({ task, resumeFrom } satisfies CompareOrder, () => {});
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
    child.kill('SIGKILL');
    await ended;
  }
}

function startProcess(): ChildProcess {
  const { LD_LIBRARY_PATH, NODE_COMPILE_CACHE, NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, SSL_CERT_DIR } = process.env;
  const env = { LD_LIBRARY_PATH, NODE_COMPILE_CACHE, NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, SSL_CERT_DIR };
  return fork(fileURLToPath(siblingScript(import.meta.url, './compare-child')), [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
    execArgv: [],
    // The password comes with the task: nothing of this process' secrets is needed.
    env: Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined)),
  });
}

/** Settles when the process is gone, or could not be started, with what that means where no result came before. */
function endOf(child: ChildProcess): Promise<RewindError> {
  return new Promise((resolve) => {
    child.once('exit', (code, killed) => resolve(died(killed === null ? `with code ${code}` : `by ${killed}`)));
    child.once('error', (cause) => resolve(died(`before it began: ${cause.message}`, cause)));
  });
}

function died(how: string, cause?: unknown): RewindError {
  return new RewindError('COMPARE_DIED', `the process that compares ended ${how} and without a result`, { cause });
}
