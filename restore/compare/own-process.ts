import { once } from 'node:events';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO, StepProgress } from '../../process/step-io.ts';
import { workForParent } from '../../process/work-for-parent.ts';
import { startWork } from '../../process/work-process.ts';

/** What such a process tells on its way. */
type News<Cursor> = { readonly progress: StepProgress } | { readonly cursor: Cursor };

const died = (how: string, cause?: unknown): RewindError =>
  new RewindError('COMPARE_DIED', `the process that compares ended ${how} and without a result`, { cause });

/**
 * Reads and compares in a process of its own. What it only reads it can be killed in at any moment.
 *
 * @param script one that calls `answerParent`
 * @throws what the script throws; COMPARE_DIED; the signal's reason
 */
export async function inOwnProcess<Done, Cursor>(
  script: URL,
  order: object,
  io: StepIO & { readonly onCursor?: (cursor: Cursor) => void },
): Promise<Done> {
  const { signal } = io;
  signal.throwIfAborted();
  // What is made in there lives for milliseconds: left to itself V8 takes 100 MB more for it, and is no faster.
  const spec = { script, died, connects: true, execArgv: ['--max-semi-space-size=4'] };
  const work = startWork<object, News<Cursor>, Done>(spec, (news) => {
    if ('progress' in news) io.onProgress(news.progress);
    else io.onCursor?.(news.cursor);
  });
  const stop = () => work.fail(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  work.tell(order);
  try {
    return await work.ended();
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** In the process that `inOwnProcess` started: takes the order, does the work, and tells the result. */
export function answerParent<Order, Done, Cursor>(
  work: (order: Order, io: StepIO & { readonly onCursor: (cursor: Cursor) => void }) => Promise<Done>,
): Promise<never> {
  return workForParent<News<Cursor>, Done>(async (tell) => {
    const [order] = (await once(process, 'message')) as [Order];
    return work(order, {
      // It only reads: the parent ends it by ending the process.
      signal: new AbortController().signal,
      onProgress: (progress) => void tell({ progress }),
      onCursor: (cursor) => void tell({ cursor }),
    });
  }, knownError);
}

/** What a disk or a server said that is no fault of this process. */
function knownError(error: unknown): RewindError | undefined {
  const { code, name, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC') return new RewindError('DISK_FULL', `The names of keys cannot be written: ${message}`);
  if (name !== 'ReplyError') return undefined;
  return new RewindError('COMPARE_REFUSED', `The server refused a command that reads: ${message.slice(0, 200)}`);
}
