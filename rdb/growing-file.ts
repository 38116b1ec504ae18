import { readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const chunkBytes = 1024 * 1024;
const lookAgainMs = 20;

/**
 * The bytes of a file that somebody still appends to, as they come. The same room is used again for each chunk.
 *
 * @param isWhole true once nothing more is appended: only then its end is the end
 */
export async function* growingFile(fd: number, isWhole: () => boolean): AsyncGenerator<Uint8Array> {
  const chunk = new Uint8Array(chunkBytes);
  for (let position = 0; ; ) {
    // Asked before it is read: what was appended in between is seen.
    const whole = isWhole();
    const bytes = readSync(fd, chunk, 0, chunk.length, position);
    position += bytes;
    if (bytes > 0) yield chunk.subarray(0, bytes);
    else if (whole) return;
    else await sleep(lookAgainMs);
  }
}
