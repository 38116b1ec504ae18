import { once } from 'node:events';
import { flushCompileCache } from 'node:module';
import { RewindError } from '../errors/rewind-error.ts';
import type { InspectMessage, InspectTask } from './inspect.ts';
import { inspectHere } from './inspect-file.ts';

/** The process behind `inspectRdb`: one dump, then it ends. It ends without its parent, too. */
const progressEveryMs = 200;

const parent = process.ppid;
const send = (message: InspectMessage) =>
  new Promise<void>((resolve) => process.send!(message, undefined, undefined, () => resolve()));
let lastProgress = performance.now();

process.on('disconnect', () => process.exit(1));
// Now, because the parent ends this process when it has the result. Without NODE_COMPILE_CACHE it does nothing.
flushCompileCache();
const [{ source, options }] = (await once(process, 'message')) as [InspectTask];
try {
  const done = await inspectHere('fd' in source && source.fd === 0 ? process.stdin : source, {
    ...options,
    onProgress: (bytes, total) => {
      const now = performance.now();
      if (now - lastProgress < progressEveryMs && bytes < total) return;
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
