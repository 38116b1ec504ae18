import { fstat, read } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { RewindError } from '../errors/rewind-error.ts';
import { openStream } from '../rdb/stream-source.ts';

/** An append-only file: by name, by a descriptor that stays the caller's, or as a stream of chunks. */
export type AofSource = { readonly path: string } | { readonly fd: number } | AsyncIterable<Uint8Array>;

const readInto = promisify(read);
const statOf = promisify(fstat);

export interface OpenAof {
  /** Undefined for a stream. */
  readonly sizeBytes?: number;
  /** Puts the next bytes at the beginning of `room` and answers how many; 0 at the end. */
  read(room: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

/** Opens bytes [from, to) of a source; what a file got appended after it was opened counts only up to `to`. */
export async function openAof(source: AofSource, from = 0, to = Number.POSITIVE_INFINITY): Promise<OpenAof> {
  if (Symbol.asyncIterator in source) return openStream(source);
  let handle: FileHandle | undefined;
  try {
    handle = 'path' in source ? await open(source.path, 'r') : undefined;
    const fd = handle?.fd ?? (source as { fd: number }).fd;
    const { size } = await statOf(fd);
    let position = from;
    return {
      sizeBytes: Math.min(size, to),
      read: async (room) => {
        const wanted = Math.min(room.length, to - position);
        if (wanted <= 0) return 0;
        const { bytesRead } = await readInto(fd, room, 0, wanted, position).catch(failed);
        position += bytesRead;
        return bytesRead;
      },
      close: async () => handle?.close(),
    };
  } catch (cause) {
    await handle?.close();
    return failed(cause);
  }
}

function failed(cause: unknown): never {
  if (cause instanceof RewindError) throw cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  throw new RewindError('AOF_READ_FAILED', `the append-only file cannot be read: ${reason}`, { cause });
}
