import { flushCompileCache } from 'node:module';
import { RewindError } from '../../errors/rewind-error.ts';
import type { PutKeysNews, PutKeysOrder } from './put-keys.ts';
import { putKeysHere } from './put-keys-here.ts';

/** The process behind `putKeys`: one dump, then it ends. It ends without its parent, too. */
const send = (news: PutKeysNews) =>
  new Promise<void>((resolve) => process.send!(news, undefined, undefined, () => resolve()));

process.on('disconnect', () => process.exit(1));
// Now, because the parent ends this process when it has the result. Without NODE_COMPILE_CACHE it does nothing.
flushCompileCache();
const cancel = new AbortController();
/** Those that wait until the parent has taken note of a cursor, by its number. */
const notes = new Map<number, () => void>();
let cursors = 0;

const begun = Promise.withResolvers<Extract<PutKeysOrder, { begin: unknown }>>();
process.on('message', (order: PutKeysOrder) => {
  if ('begin' in order) begun.resolve(order);
  else if ('stop' in order) cancel.abort();
  else {
    notes.get(order.noted)?.();
    notes.delete(order.noted);
  }
});
const order = await begun.promise;
try {
  const done = await putKeysHere(order.begin, {
    signal: cancel.signal,
    resumeFrom: order.resumeFrom,
    onProgress: (progress) => void send({ progress }),
    onCursor: (cursor) =>
      new Promise<void>((resolve) => {
        const number = cursors++;
        notes.set(number, resolve);
        void send({ cursor, number });
      }),
  });
  await send({ done });
} catch (error) {
  if (!(error instanceof RewindError)) throw error;
  const { code, message, safe, next, details } = error;
  await send({ failed: { code, message, safe, next, details } });
}
process.exit(0);
