import { parentPort, workerData } from 'node:worker_threads';
import { RewindError } from '../errors/rewind-error.ts';
import type { InspectMessage, InspectTask } from './inspect.ts';
import { inspectHere } from './inspect-file.ts';
import { receiveChunks } from './thread-chunks.ts';

/** The thread behind `inspectRdb`: one dump, then it ends. */
const progressEveryMs = 200;

const { source, options } = workerData as InspectTask;
const send = (message: InspectMessage) => parentPort!.postMessage(message);
let lastProgress = Number.NEGATIVE_INFINITY;

try {
  const done = await inspectHere('port' in source ? receiveChunks(source.port) : source, {
    ...options,
    onProgress: (bytes, total) => {
      const now = performance.now();
      if (now - lastProgress < progressEveryMs && bytes < total) return;
      lastProgress = now;
      send({ progress: [bytes, total] });
    },
  });
  send({ done });
} catch (error) {
  if (error instanceof RewindError) {
    const { code, message, details } = error;
    send({ failed: { code, message, details } });
  } else {
    send({ crashed: error });
  }
}
