import type { MessagePort } from 'node:worker_threads';

/** Bytes that may be under way between the two threads. */
const underWay = 4 * 1024 * 1024;

/** Hands chunks to another thread's `receiveChunks`, no faster than it takes them; returns when all are sent, or it is gone. */
export async function sendChunks(chunks: AsyncIterable<Uint8Array>, port: MessagePort): Promise<void> {
  let open = true;
  let ahead = 0;
  let wake = () => {};
  port.on('message', (taken: number) => {
    ahead -= taken;
    wake();
  });
  port.on('close', () => {
    open = false;
    wake();
  });
  for await (const chunk of chunks) {
    if (!open) return;
    // A copy of its own: a chunk may be a window on a buffer that goes on to somebody else.
    const copy = new Uint8Array(chunk);
    ahead += copy.length;
    port.postMessage(copy, [copy.buffer]);
    while (open && ahead > underWay) await new Promise<void>((resolve) => (wake = resolve));
  }
  port.postMessage(null);
}

/** The other end of `sendChunks`. */
export async function* receiveChunks(port: MessagePort): AsyncGenerator<Uint8Array, void, undefined> {
  const waiting: (Uint8Array | null)[] = [];
  let wake = () => {};
  port.on('message', (chunk: Uint8Array | null) => {
    waiting.push(chunk);
    wake();
  });
  try {
    for (;;) {
      while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      const chunk = waiting.shift()!;
      if (chunk === null) return;
      yield chunk;
      port.postMessage(chunk.length);
    }
  } finally {
    port.close();
  }
}
