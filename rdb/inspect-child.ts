import { openSync } from 'node:fs';
import { setPriority } from 'node:os';
import { workForParent } from '../process/work-for-parent.ts';
import { growingFile } from './growing-file.ts';
import type { InspectNews, InspectTask, InspectWhole } from './inspect.ts';
import { inspectHere } from './inspect-file.ts';
import type { RdbInspection } from './inspection.ts';
import type { RdbSource } from './source.ts';

/** The process behind `inspectRdb`: one dump, then it ends. It ends without its parent, too. */
const progressEveryMs = 200;
const nice = 5;

await workForParent<InspectNews, RdbInspection>(async (tell) => {
  const parent = process.ppid;
  // Beside a Redis that serves: where processors are short that goes first, and this gets a third of what it gets.
  setPriority(nice);
  const begun = Promise.withResolvers<InspectTask>();
  let whole = false;
  process.on('message', (message: InspectTask | InspectWhole) => {
    if ('whole' in message) whole = true;
    else begun.resolve(message);
  });
  const { source, grows, options } = await begun.promise;

  function opened(): RdbSource {
    if (grows) return growingFile('fd' in source ? source.fd : openSync(source.path, 'r'), () => whole);
    return 'fd' in source && source.fd === 0 ? process.stdin : source;
  }

  let lastProgress = performance.now();
  return inspectHere(opened(), {
    ...options,
    onProgress: (bytes, total) => {
      const now = performance.now();
      if (now - lastProgress < progressEveryMs && (grows || bytes < total)) return;
      lastProgress = now;
      // While a file is read no event arrives, not even that the parent is gone.
      if (process.ppid !== parent) process.exit(1);
      void tell({ progress: [bytes, total] });
    },
  });
});
