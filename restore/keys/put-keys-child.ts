import { workForParent } from '../../process/work-for-parent.ts';
import type { PutKeysFigures } from './figures.ts';
import type { PutKeysNews, PutKeysOrder } from './put-keys.ts';
import { putKeysHere } from './put-keys-here.ts';

/** The process behind `putKeys`: one dump, then it ends. It ends without its parent, too. */
await workForParent<PutKeysNews, PutKeysFigures>(async (tell) => {
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
  const { begin, resumeFrom } = await begun.promise;
  return putKeysHere(begin, {
    signal: cancel.signal,
    resumeFrom,
    onProgress: (progress) => void tell({ progress }),
    onCursor: (cursor) =>
      new Promise<void>((resolve) => {
        const number = cursors++;
        notes.set(number, resolve);
        void tell({ cursor, number });
      }),
  });
});
