import { once } from 'node:events';
import { flushCompileCache } from 'node:module';
import { RewindError } from '../../errors/rewind-error.ts';
import { compareHere } from './compare-here.ts';
import type { CompareNews, CompareOrder } from './compare-keys.ts';

/** The process behind `compareKeys`: one comparison, then it ends. It ends without its parent, too. */
const send = (news: CompareNews) =>
  new Promise<void>((resolve) => process.send!(news, undefined, undefined, () => resolve()));

process.on('disconnect', () => process.exit(1));
// Now, because the parent ends this process when it has the result. Without NODE_COMPILE_CACHE it does nothing.
flushCompileCache();
const [{ task, resumeFrom }] = (await once(process, 'message')) as [CompareOrder];
try {
  const done = await compareHere(task, {
    // It only reads: the parent ends it by ending the process.
    signal: new AbortController().signal,
    resumeFrom,
    onProgress: (progress) => void send({ progress }),
    onCursor: (cursor) => void send({ cursor }),
  });
  await send({ done });
} catch (error) {
  if (!(error instanceof RewindError)) throw error;
  const { code, message, safe, next, details } = error;
  await send({ failed: { code, message, safe, next, details } });
}
process.exit(0);
