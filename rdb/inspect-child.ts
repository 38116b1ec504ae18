import { openSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { setPriority } from 'node:os';
import { RewindError } from '../errors/rewind-error.ts';
import { growingFile } from './growing-file.ts';
import type { InspectMessage, InspectTask, InspectWhole } from './inspect.ts';
import { inspectHere } from './inspect-file.ts';
import type { RdbSource } from './source.ts';

/** The process behind `inspectRdb`: one dump, then it ends. It ends without its parent, too. */
const progressEveryMs = 200;
const nice = 5;

const parent = process.ppid;
const send = (message: InspectMessage) =>
  new Promise<void>((resolve) => process.send!(message, undefined, undefined, () => resolve()));
let lastProgress = performance.now();

process.on('disconnect', () => process.exit(1));
// Now, because the parent ends this process when it has the result. Without NODE_COMPILE_CACHE it does nothing.
flushCompileCache();
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

try {
  const done = await inspectHere(opened(), {
    ...options,
    onProgress: (bytes, total) => {
      const now = performance.now();
      if (now - lastProgress < progressEveryMs && (grows || bytes < total)) return;
      lastProgress = now;
      // While a file is read no event arrives, not even that the parent is gone.
      if (process.ppid !== parent) process.exit(1);
      void send({ progress: [bytes, total] });
    },
  });
  await send({ done });
} catch (error) {
  if (!(error instanceof RewindError)) throw error;
  const { code, message, details } = error;
  await send({ failed: { code, message, details } });
}
process.exit(0);
