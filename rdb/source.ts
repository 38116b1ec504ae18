import { fstat, read, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { RewindError } from '../errors/rewind-error.ts';
import { openStream } from './stream-source.ts';

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
  read(room: Uint8Array): number | Promise<number>;
  close(): Promise<void>;
}

/** `blocking`: a file is read without going through the event loop, for a process that does nothing else. */
export async function openSource(source: RdbSource, blocking = false): Promise<OpenSource> {
  return Symbol.asyncIterator in source ? openStream(source) : openFile(source, blocking);
}

async function openFile(file: RdbFile, blocking: boolean): Promise<OpenSource> {
  let handle: FileHandle | undefined;
  let position = 0;
  let fd = -1;
  const nextBlock = (room: Uint8Array): number => {
    try {
      const bytes = readSync(fd, room, 0, room.length, position);
      position += bytes;
      return bytes;
    } catch (cause) {
      throw readFailed(cause);
    }
  };
  const nextBlockLater = async (room: Uint8Array): Promise<number> => {
    try {
      const { bytesRead } = await readInto(fd, room, 0, room.length, position);
      position += bytesRead;
      return bytesRead;
    } catch (cause) {
      throw readFailed(cause);
    }
  };
  try {
    handle = 'path' in file ? await open(file.path, 'r') : undefined;
    fd = 'path' in file ? handle!.fd : file.fd;
    const { size } = await statOf(fd);
    return {
      sizeBytes: size,
      read: blocking ? nextBlock : nextBlockLater,
      close: async () => handle?.close(),
    };
  } catch (cause) {
    await handle?.close();
    throw readFailed(cause);
  }
}

function readFailed(cause: unknown): RewindError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new RewindError('RDB_READ_FAILED', `the dump cannot be read: ${reason}`, { cause });
}
