import { fstat, read } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { RewindError } from '../errors/rewind-error.ts';

/** A dump's bytes: a file by name, a file by a descriptor that stays the caller's, or a stream of chunks. */
export type RdbSource = RdbFile | AsyncIterable<Uint8Array>;
export type RdbFile = { readonly path: string } | { readonly fd: number };

const readInto = promisify(read);
const statOf = promisify(fstat);

/** Reads a source block by block into room that the reader offers. */
export interface OpenSource {
  /** Size of the file in bytes; undefined for a stream. */
  readonly sizeBytes?: number;
  /** Puts the next bytes at the beginning of `room` and answers how many; 0 at the end. */
  read(room: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

export async function openSource(source: RdbSource): Promise<OpenSource> {
  if (Symbol.asyncIterator in source) return openStream(source);
  return openFile(source);
}

async function openFile(file: RdbFile): Promise<OpenSource> {
  let handle: FileHandle | undefined;
  let position = 0;
  try {
    handle = 'path' in file ? await open(file.path, 'r') : undefined;
    const fd = 'path' in file ? handle!.fd : file.fd;
    const { size } = await statOf(fd);
    return {
      sizeBytes: size,
      read: async (room) => {
        const { bytesRead } = await readInto(fd, room, 0, room.length, position).catch((cause) => {
          throw readFailed(cause);
        });
        position += bytesRead;
        return bytesRead;
      },
      close: async () => handle?.close(),
    };
  } catch (cause) {
    await handle?.close();
    throw readFailed(cause);
  }
}

function openStream(stream: AsyncIterable<Uint8Array>): OpenSource {
  const chunks = stream[Symbol.asyncIterator]();
  let chunk: Uint8Array = new Uint8Array(0);
  return {
    read: async (room) => {
      while (chunk.length === 0) {
        const next = await chunks.next();
        if (next.done) return 0;
        chunk = next.value;
      }
      const taken = Math.min(chunk.length, room.length);
      room.set(chunk.subarray(0, taken));
      chunk = chunk.subarray(taken);
      return taken;
    },
    close: async () => {
      await chunks.return?.();
    },
  };
}

function readFailed(cause: unknown): RewindError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new RewindError('RDB_READ_FAILED', `the dump cannot be read: ${reason}`, { cause });
}
