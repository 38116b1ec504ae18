import { RewindError } from '../errors/rewind-error.ts';
import { parseHeader } from '../rdb/magic.ts';
import { RdbWalker } from '../rdb/walker.ts';
import { type AofProgress, AofScanner } from './scanner.ts';
import { type AofSource, openAof } from './source.ts';
import type { AofVisitor } from './visitor.ts';

export interface ScanOptions {
  /** Offset to begin at, which must be a command's; default 0. Of a stream: the offset of its first byte. */
  readonly from?: number;
  /** Read no further than this offset, as if the file ended there. */
  readonly to?: number;
  /** The database that is selected at `from`; default 0. */
  readonly db?: number;
  readonly signal?: AbortSignal;
  /** Called after each block with the offset read to, and the file's size where it is known. */
  readonly onProgress?: (bytes: number, total: number | undefined) => void;
  /** Given every byte in order, the preamble's too: for digests and copies. */
  readonly onBytes?: (bytes: Uint8Array) => void;
}

export interface ScanResult extends AofProgress {
  /** The file's length. */
  readonly end: number;
  /** Length of the dump that the file begins with; 0: none. A file that is only a dump ends there. */
  readonly preambleEnd: number;
}

/**
 * Scans an append-only file of any size in fixed memory: a base, an incr, or the single file of before Redis 7 with the
 * dump that it begins with. Between two blocks (256 KiB) the event loop runs.
 *
 * @throws RewindError AOF_CORRUPT, AOF_TRUNCATED with `details`: `offset` of the first byte that is wrong (or of the
 *   end), and as `AofProgress` what is whole before it; for the preamble what `walkRdb` throws; AOF_READ_FAILED,
 *   AOF_CANCELLED
 */
export async function scanAof(source: AofSource, visitor: AofVisitor, options: ScanOptions = {}): Promise<ScanResult> {
  const from = options.from ?? 0;
  const opened = await openAof(source, from, options.to);
  try {
    // The first bytes say whether a dump comes first: a stream may give them one by one.
    const head = new Uint8Array(9);
    let there = 0;
    while (from === 0 && there < head.length) {
      const bytes = await opened.read(head.subarray(there));
      if (bytes === 0) break;
      options.onBytes?.(head.subarray(there, there + bytes));
      there += bytes;
    }
    const reader = new Blocks(opened.read, head.subarray(0, there), opened.sizeBytes, options);
    let preambleEnd = 0;
    if (beginsAsDump(head.subarray(0, there))) {
      preambleEnd = await walkPreamble(reader, visitor);
      visitor.preambleEnd?.(preambleEnd);
    }
    const scanner = new AofScanner(visitor, { offset: from + preambleEnd, db: options.db });
    for (;;) {
      const bytes = await reader.next(scanner.room());
      if (bytes === 0) break;
      scanner.advance(bytes);
      options.onProgress?.(scanner.pushed, opened.sizeBytes);
    }
    scanner.finish();
    return { ...scanner.progress, end: scanner.pushed, preambleEnd };
  } finally {
    await opened.close();
  }
}

/** As the server decides it (aof.c): by the first five bytes, of VALKEY six. */
function beginsAsDump(head: Uint8Array): boolean {
  if (parseHeader(head, 0) !== null) return true;
  return /^(REDIS|VALKEY)/.test(String.fromCharCode(...head));
}

async function walkPreamble(reader: Blocks, visitor: AofVisitor): Promise<number> {
  const walker = new RdbWalker(visitor.preamble ?? {});
  while (!walker.done) {
    const room = walker.room();
    const bytes = await reader.next(room);
    if (bytes === 0) walker.finish();
    walker.advance(bytes);
    reader.options.onProgress?.(walker.pushed, reader.sizeBytes);
    // The dump ended within this block: what follows it is the commands'.
    if (walker.done) reader.giveBack(room.subarray(bytes - (walker.pushed - walker.offset), bytes));
  }
  return walker.offset;
}

/** Reads on from what was read already. */
class Blocks {
  readonly options: ScanOptions;
  readonly sizeBytes: number | undefined;
  readonly #read: (room: Uint8Array) => Promise<number>;
  #ahead: Uint8Array;

  constructor(
    read: (room: Uint8Array) => Promise<number>,
    ahead: Uint8Array,
    sizeBytes: number | undefined,
    options: ScanOptions,
  ) {
    this.#read = read;
    this.#ahead = ahead;
    this.sizeBytes = sizeBytes;
    this.options = options;
  }

  async next(room: Uint8Array): Promise<number> {
    const { signal, onBytes } = this.options;
    if (signal?.aborted) throw new RewindError('AOF_CANCELLED', 'reading the append-only file was cancelled');
    if (this.#ahead.length > 0) {
      const taken = Math.min(this.#ahead.length, room.length);
      room.set(this.#ahead.subarray(0, taken));
      this.#ahead = this.#ahead.subarray(taken);
      return taken;
    }
    const bytes = await this.#read(room);
    if (bytes > 0) onBytes?.(room.subarray(0, bytes));
    return bytes;
  }

  giveBack(bytes: Uint8Array): void {
    this.#ahead = Buffer.concat([bytes, this.#ahead]);
  }
}
