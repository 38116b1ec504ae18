import { RewindError } from '../errors/rewind-error.ts';
import type { RdbMagic } from './magic.ts';
import { openSource, type RdbSource } from './source.ts';
import type { RdbVisitor } from './visitor.ts';
import { RdbWalker } from './walker.ts';

export interface WalkOptions {
  /** What may follow the dump's end: nothing (default), or anything, which is then left unread. */
  readonly trailing?: 'error' | 'allowed';
  readonly signal?: AbortSignal;
  /**
   * Refuse what came into the format later than the version in the header. Servers take it as it is, so a dump is read
   * without; but no server wrote it, so that among damage it is none of its records.
   */
  readonly onlyOfVersion?: boolean;
  /** Read a file without letting the event loop run: for a process that does nothing else. */
  readonly blocking?: boolean;
  /** Called after each block with the bytes read so far, and the file's size where it is known. */
  readonly onProgress?: (bytes: number, total: number | undefined) => void;
  /** Given every byte in order, those behind the dump's end too: for digests of the whole. */
  readonly onBytes?: (bytes: Uint8Array) => void;
}

export interface WalkResult {
  readonly magic: RdbMagic;
  readonly version: number;
  /** The dump's length: offset behind its last byte. */
  readonly end: number;
  readonly crc: 'ok' | 'disabled';
}

/**
 * Walks a dump of any size in fixed memory and tells the visitor what it holds. Works block by block: between two
 * blocks (256 KiB, about a millisecond) the event loop runs.
 *
 * A type that is not known ends the walk, but the rest is still read, to say whether the checksum is right
 * (`details.crc`: ok, disabled, wrong), unless something else may follow the dump.
 *
 * @throws RewindError RDB_NOT_A_DUMP, RDB_VERSION_UNKNOWN, RDB_TYPE_UNKNOWN, RDB_TRUNCATED, RDB_CORRUPT,
 *   RDB_CHECKSUM_WRONG, RDB_TRAILING_BYTES, RDB_STRING_TOO_LONG with the byte offset in `details.offset`;
 *   RDB_READ_FAILED, RDB_CANCELLED
 */
export async function walkRdb(source: RdbSource, visitor: RdbVisitor, options: WalkOptions = {}): Promise<WalkResult> {
  const walker = new RdbWalker(visitor, undefined, options.onlyOfVersion);
  const opened = await openSource(source, options.blocking);
  let unknown: RewindError | undefined;
  try {
    while (!walker.done || options.trailing !== 'allowed') {
      if (options.signal?.aborted) throw new RewindError('RDB_CANCELLED', 'reading the dump was cancelled');
      const room = walker.room();
      const next = opened.read(room);
      const bytes = typeof next === 'number' ? next : await next;
      if (bytes === 0) break;
      options.onBytes?.(room.subarray(0, bytes));
      try {
        walker.advance(bytes);
      } catch (error) {
        if (!isUnknown(error) || options.trailing === 'allowed') throw error;
        unknown = error;
        walker.sumOnly();
      }
      options.onProgress?.(walker.pushed, opened.sizeBytes);
      if (options.trailing !== 'allowed') walker.refuseTrailing();
    }
    if (unknown === undefined) walker.finish();
    else throw whetherDamaged(unknown, walker.checksumOfAll());
  } finally {
    await opened.close();
  }
  return { magic: walker.magic, version: walker.version, end: walker.offset, crc: walker.crc };
}

/** A type or a version that this reader does not know: not necessarily damage. */
export function isUnknown(error: unknown): error is RewindError {
  return error instanceof RewindError && (error.code === 'RDB_TYPE_UNKNOWN' || error.code === 'RDB_VERSION_UNKNOWN');
}

/**
 * A type that is not known is a newer server's or it is damage: the checksum of the whole file tells, as far as the
 * version is known to have one.
 */
function whetherDamaged(unknown: RewindError, crc: 'ok' | 'disabled' | 'wrong'): RewindError {
  const damaged = unknown.code === 'RDB_TYPE_UNKNOWN' && crc === 'wrong';
  const message = damaged ? `${unknown.message}; and the dump's CRC-64 does not fit its bytes` : unknown.message;
  return new RewindError(damaged ? 'RDB_CHECKSUM_WRONG' : unknown.code, message, {
    details: { ...unknown.details, crc },
  });
}
