import { read } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { RewindError } from '../errors/rewind-error.ts';
import type { FileSource } from './repository.ts';

const readAt = promisify(read);

/** Fills as much of the buffer as there are bytes left; fewer than it holds only at the end. */
export type Fill = (buffer: Buffer) => Promise<number>;

/**
 * Reads a file from its beginning by position: a descriptor that somebody else reads, too, is not moved.
 *
 * @throws UPLOAD_SOURCE_CHANGED when the file is not `sizeBytes` long
 */
export async function withFileReader<T>(
  source: FileSource,
  sizeBytes: number,
  use: (fill: Fill) => Promise<T>,
): Promise<T> {
  const handle: FileHandle | undefined = 'path' in source ? await open(source.path, 'r') : undefined;
  const fd = handle?.fd ?? (source as { fd: number }).fd;
  let position = 0;
  const fill: Fill = async (buffer) => {
    let filled = 0;
    const wanted = Math.min(buffer.length, sizeBytes - position);
    while (filled < wanted) {
      const { bytesRead } = await readAt(fd, buffer, filled, wanted - filled, position + filled);
      if (bytesRead === 0) throw changed(sizeBytes, position + filled);
      filled += bytesRead;
    }
    position += filled;
    if (filled === 0 && (await readAt(fd, Buffer.alloc(1), 0, 1, position)).bytesRead > 0) {
      throw changed(sizeBytes, position + 1);
    }
    return filled;
  };
  try {
    return await use(fill);
  } finally {
    await handle?.close();
  }
}

/** Cuts a stream of chunks of any size into full buffers. Ends the stream when the caller stops early. */
export async function withStreamReader<T>(
  chunks: AsyncIterable<Uint8Array>,
  use: (fill: Fill) => Promise<T>,
): Promise<T> {
  const iterator = chunks[Symbol.asyncIterator]();
  let rest: Uint8Array = Buffer.alloc(0);
  let ended = false;
  const fill: Fill = async (buffer) => {
    let filled = 0;
    while (filled < buffer.length && !ended) {
      if (rest.length === 0) {
        const next = await iterator.next();
        if (next.done) ended = true;
        else rest = next.value;
        continue;
      }
      const take = Math.min(rest.length, buffer.length - filled);
      buffer.set(rest.subarray(0, take), filled);
      rest = rest.subarray(take);
      filled += take;
    }
    return filled;
  };
  try {
    return await use(fill);
  } finally {
    if (!ended) await iterator.return?.();
  }
}

function changed(expected: number, found: number): RewindError {
  return new RewindError(
    'UPLOAD_SOURCE_CHANGED',
    `The file should have ${expected} bytes and ends or goes on at ${found}: it changed while it was stored.`,
  );
}
