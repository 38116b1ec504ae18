import { fstat, read } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Fill } from './source-reader.ts';

const lookAgainMs = 20;
const sizeOf = promisify(fstat);
const readAt = promisify(read);

/**
 * Reads full buffers of a file that somebody still appends to, and waits for each until it is there. Ends (0) when the
 * file is whole and has no full buffer left; the rest is not read.
 */
export function growingParts(fd: number, whole: Promise<unknown>, signal?: AbortSignal): Fill {
  let ended = false;
  const end = () => {
    ended = true;
  };
  whole.then(end, end);
  let position = 0;
  return async (buffer) => {
    for (;;) {
      signal?.throwIfAborted();
      if (ended) return 0;
      if ((await sizeOf(fd)).size >= position + buffer.length) break;
      await sleep(lookAgainMs, undefined, { signal });
    }
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await readAt(fd, buffer, filled, buffer.length - filled, position + filled);
      if (bytesRead === 0) return 0;
      filled += bytesRead;
    }
    position += filled;
    return filled;
  };
}
