import { type FileHandle, open } from 'node:fs/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import type { RdbMagic } from '../../rdb/magic.ts';
import { opcode } from '../../rdb/opcodes.ts';
import type { RdbVisitor } from '../../rdb/visitor.ts';
import { walkRdb } from '../../rdb/walk.ts';

/** The header that a damaged file has, or should have. */
export interface RdbForm {
  readonly magic: RdbMagic;
  readonly version: number;
}

/** A place inside of a dump where records begin. */
export interface RecordPlace {
  readonly offset: number;
  /** The database that is selected there. */
  readonly db: number;
}

export interface Walked {
  /** Offset behind the dump's last byte; undefined where it did not come to its end. */
  readonly end?: number;
  /** What stopped the walk, with its offset in the file. */
  readonly error?: RewindError;
  readonly errorOffset: number;
  readonly crc?: 'ok' | 'disabled' | 'wrong';
}

const blockBytes = 256 * 1024;

export function headerOf({ magic, version }: RdbForm): Buffer {
  return Buffer.from(magic + String(version).padStart(9 - magic.length, '0'), 'latin1');
}

/** A SELECTDB record. */
export function selectDb(db: number): Buffer {
  if (db < 64) return Buffer.from([opcode.selectDb, db]);
  if (db < 16384) return Buffer.from([opcode.selectDb, 0x40 | (db >> 8), db & 0xff]);
  const record = Buffer.from([opcode.selectDb, 0x80, 0, 0, 0, 0]);
  record.writeUInt32BE(db, 2);
  return record;
}

/**
 * Walks a dump from any record on, as if a header and a SELECTDB stood before it; the visitor is told offsets as if the
 * file began there: add `shift`. Damage does not throw: it is what is looked for.
 *
 * @param visitor made with the shift that it has to add to every offset
 */
export async function walkFrom(
  path: string,
  form: RdbForm,
  place: RecordPlace,
  to: number,
  makeVisitor: (shift: number) => RdbVisitor,
  signal?: AbortSignal,
): Promise<Walked> {
  // From its first record on, the file's own header counts: only so can its checksum be right.
  const fromStart = place.offset === 9;
  const before = fromStart ? headerOf(form) : Buffer.concat([headerOf(form), selectDb(place.db)]);
  const shift = place.offset - before.length;
  try {
    const { end, crc } = await walkRdb(following(path, before, place.offset, to), makeVisitor(shift), {
      trailing: 'allowed',
      onlyOfVersion: true,
      signal,
    });
    return { end: end + shift, errorOffset: -1, crc };
  } catch (error) {
    if (!(error instanceof RewindError) || error.retryable) throw error;
    const offset = Number(error.details.offset ?? 0) + shift;
    // The sum of a part is never the one that stands at the end of the whole.
    if (error.code === 'RDB_CHECKSUM_WRONG') return { end: offset + 8, errorOffset: offset, crc: 'wrong' };
    return { error, errorOffset: offset };
  }
}

/** `before`, then bytes [from, to) of the file. */
async function* following(path: string, before: Buffer, from: number, to: number): AsyncGenerator<Uint8Array> {
  yield before;
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    for (let at = from; at < to; ) {
      const block = Buffer.allocUnsafe(Math.min(blockBytes, to - at));
      const { bytesRead } = await file.read(block, 0, block.length, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield block.subarray(0, bytesRead);
    }
  } catch (cause) {
    if (cause instanceof RewindError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RewindError('RDB_READ_FAILED', `the dump cannot be read: ${reason}`, { cause });
  } finally {
    await file?.close();
  }
}
