import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { flushCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO, StepProgress } from '../../process/step-io.ts';

/** What such a process tells. */
type News<Done, Cursor> =
  | { readonly progress: StepProgress }
  | { readonly cursor: Cursor }
  | { readonly done: Done }
  | {
      readonly failed: {
        readonly code: ErrorCode;
        readonly message: string;
        readonly safe: string;
        readonly next: string;
        readonly details: Readonly<Record<string, unknown>>;
      };
    };

/**
 * Reads and compares in a process of its own, so that the caller's event loop stays free and a fault in there is an error
 * here and no crash. What it only reads it can be killed in at any moment.
 *
 * @param script one that calls `answerParent`
 * @param order plain data, secrets included: it goes over a pipe, not in arguments or the environment
 * @throws what the script throws; COMPARE_DIED; the signal's reason
 */
export async function inOwnProcess<Done, Cursor>(
  script: URL,
  order: object,
  io: StepIO & { readonly onCursor?: (cursor: Cursor) => void },
): Promise<Done> {
  const { signal } = io;
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Done>();
  const child = startProcess(script);
  const ended = endOf(child);
  ended.then(reject);
  child.on('message', (news: News<Done, Cursor>) => {
    if ('progress' in news) io.onProgress(news.progress);
    else if ('cursor' in news) io.onCursor?.(news.cursor);
    else if ('done' in news) resolve(news.done);
    else reject(new RewindError(news.failed.code, news.failed.message, news.failed));
  });
  const stop = () => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  child.send(order, () => {});
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', stop);
    child.kill('SIGKILL');
    await ended;
  }
}

/** In the process that `inOwnProcess` started: takes the order, does the work, tells the result, and ends. */
export async function answerParent<Order, Done, Cursor>(
  work: (order: Order, io: StepIO & { readonly onCursor: (cursor: Cursor) => void }) => Promise<Done>,
): Promise<void> {
  const send = (news: News<Done, Cursor>) =>
    new Promise<void>((resolve) => process.send!(news, undefined, undefined, () => resolve()));
  process.on('disconnect', () => process.exit(1));
  // Now, because the parent ends this process when it has the result. Without NODE_COMPILE_CACHE it does nothing.
  flushCompileCache();
  const [order] = (await once(process, 'message')) as [Order];
  try {
    const done = await work(order, {
      // It only reads: the parent ends it by ending the process.
      signal: new AbortController().signal,
      onProgress: (progress) => void send({ progress }),
      onCursor: (cursor) => void send({ cursor }),
    });
    await send({ done });
  } catch (error) {
    const known = error instanceof RewindError ? error : knownError(error);
    if (known === undefined) throw error;
    const { code, message, safe, next, details } = known;
    await send({ failed: { code, message, safe, next, details } });
  }
  process.exit(0);
}

/** What a disk or a server said that is no fault of this process. */
function knownError(error: unknown): RewindError | undefined {
  const { code, name, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC') return new RewindError('DISK_FULL', `The names of keys cannot be written: ${message}`);
  if (name !== 'ReplyError') return undefined;
  return new RewindError('COMPARE_REFUSED', `The server refused a command that reads: ${message.slice(0, 200)}`);
}

function startProcess(script: URL): ChildProcess {
  const { LD_LIBRARY_PATH, NODE_COMPILE_CACHE, NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, SSL_CERT_DIR } = process.env;
  const env = { LD_LIBRARY_PATH, NODE_COMPILE_CACHE, NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, SSL_CERT_DIR };
  return fork(fileURLToPath(script), [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization: 'advanced',
    // What is made here lives for milliseconds: left to itself V8 takes 100 MB more for it, and is no faster.
    execArgv: ['--max-semi-space-size=4'],
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
