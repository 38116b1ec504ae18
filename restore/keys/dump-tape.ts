import { readSync } from 'node:fs';
import { RewindError } from '../../errors/rewind-error.ts';
import { tapeBytes, type WorkMemory } from './work-memory.ts';

/** Bytes that are read at once: small enough that what they become always fits the free slots. */
export const blockBytes = 64 * 1024;

/** The stretch of the dump that was read last, kept as long as a key may still be cut out of it. */
export class DumpTape {
  readonly #fd: number;
  readonly #memory: WorkMemory;
  /** Offsets in the dump: the tape holds [#base, #end). */
  #base: number;
  #end: number;

  constructor(fd: number, memory: WorkMemory, offset: number) {
    this.#fd = fd;
    this.#memory = memory;
    this.#base = offset;
    this.#end = offset;
  }

  /**
   * Reads the next block and answers it; empty at the file's end. What lies before `keepFrom` may be forgotten, and what
   * lies behind it where it would not fit.
   *
   * @throws RDB_READ_FAILED
   */
  next(keepFrom: number, most = blockBytes): Uint8Array {
    const { bytes, tapeAt } = this.#memory;
    if (this.#end - this.#base + blockBytes > tapeBytes) {
      const from = this.#end - keepFrom + blockBytes > tapeBytes ? this.#end : Math.max(this.#base, keepFrom);
      bytes.copyWithin(tapeAt, tapeAt + from - this.#base, tapeAt + this.#end - this.#base);
      this.#base = from;
    }
    const at = tapeAt + this.#end - this.#base;
    const read = readAt(this.#fd, bytes, at, most, this.#end);
    this.#end += read;
    return bytes.subarray(at, at + read);
  }

  /** Whether all from `offset` to what was read last is there. */
  reaches(offset: number): boolean {
    return offset >= this.#base;
  }

  /** Where in the memory the byte at `offset` of the dump lies. */
  position(offset: number): number {
    return this.#memory.tapeAt + offset - this.#base;
  }
}

/** Reads up to `length` bytes of the file into `bytes` at `at`; answers how many, fewer only at the file's end. */
export function readAt(fd: number, bytes: Uint8Array, at: number, length: number, offset: number): number {
  let total = 0;
  while (total < length) {
    let read: number;
    try {
      read = readSync(fd, bytes, at + total, length - total, offset + total);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new RewindError('RDB_READ_FAILED', `the dump cannot be read: ${reason}`, { cause });
    }
    if (read === 0) break;
    total += read;
  }
  return total;
}
