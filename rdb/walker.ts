import { RewindError } from '../errors/rewind-error.ts';
import { Crc64 } from './crc64.ts';
import { Cursor, needMore } from './cursor.ts';
import type { RdbMagic } from './magic.ts';
import { firstVersionWithChecksum } from './opcodes.ts';
import { RdbRecords } from './records.ts';
import { pieceBytes } from './string-reader.ts';
import type { RdbVisitor } from './visitor.ts';

/** Most bytes that one read takes in; what is parsed, summed and hashed then still lies in the processor's cache. */
const blockBytes = 256 * 1024;
/** What may be left of the block before: a compressed string that has to be seen whole. */
const carryBytes = 4 * pieceBytes;
const checksumBytes = 8;

/** Where a walk may begin but the dump's first byte: at a record, of a dump whose header was read before. */
export interface WalkStart {
  readonly magic: RdbMagic;
  readonly version: number;
  /** Of the record's first byte: a key's `start`, or the `end` of the key before it. */
  readonly offset: number;
  /** The database that was selected before it. */
  readonly db: number;
}

/**
 * Walks a dump that is pushed into it block by block, in memory that does not grow with the dump: fill `room()`, then
 * `advance`. Knows the end of the dump from its content, so it also reads a dump in front of something else.
 */
export class RdbWalker {
  /** `disabled` until the checksum was found right; for ever where the walk began in the middle. */
  crc: 'ok' | 'disabled' = 'disabled';
  readonly #records: RdbRecords;
  readonly #window = new Uint8Array(blockBytes + carryBytes);
  readonly #cursor = new Cursor();
  readonly #crc = new Crc64();
  /** False where the walk began in the middle: the checksum is of more than was read. */
  readonly #sumsAll: boolean;
  #state: 'records' | 'checksum' | 'done' | 'sum-only' = 'records';
  /** The window holds bytes [#from, #to) that are not read yet. What was read is in the checksum. */
  #from = 0;
  #to = 0;
  /** Offset in the dump of the window's first byte. */
  #base = 0;

  /** @param onlyOfVersion as in `WalkOptions` */
  constructor(visitor: RdbVisitor, start?: WalkStart, onlyOfVersion = false) {
    this.#records = new RdbRecords(visitor, onlyOfVersion);
    this.#sumsAll = start === undefined;
    if (start === undefined) return;
    this.#records.beginAt(start.magic, start.version, start.db);
    this.#base = start.offset;
  }

  get magic(): RdbMagic {
    return this.#records.magic;
  }

  /** 0 before the header was read. */
  get version(): number {
    return this.#records.version;
  }

  /** True behind the dump's last byte. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** Offset of the first byte that is not read yet; once `done` the dump's length. */
  get offset(): number {
    return this.#base + this.#from;
  }

  /** Bytes pushed so far. */
  get pushed(): number {
    return this.#base + this.#to;
  }

  /** Where to put the next bytes. Never empty before the end; what is put there is read by `advance`. */
  room(): Uint8Array {
    if (this.#from > 0) {
      this.#window.copyWithin(0, this.#from, this.#to);
      this.#base += this.#from;
      this.#to -= this.#from;
      this.#from = 0;
    }
    return this.#window.subarray(this.#to, Math.min(this.#to + blockBytes, this.#window.length));
  }

  /** Reads on, now that `room()` holds `bytes` more. */
  advance(bytes: number): void {
    this.#to += bytes;
    const c = this.#cursor;
    c.show(this.#window, this.#from, this.#to, this.#base);
    try {
      if (this.#state === 'records') this.#readRecords(c);
      if (this.#state === 'checksum') this.#readChecksum(c);
    } catch (error) {
      if (error !== needMore) throw error;
    }
    if (this.#state === 'sum-only') this.#sum(Math.max(this.#from, this.#to - checksumBytes));
  }

  /** Throws where bytes were pushed behind the dump's end. */
  refuseTrailing(): void {
    if (!this.done || this.pushed === this.offset) return;
    throw new RewindError('RDB_TRAILING_BYTES', `bytes follow the end of the dump at byte ${this.offset}`, {
      details: { offset: this.offset },
    });
  }

  /** Gives up to understand the dump; what is pushed from now on, and what lies in the room, is only summed. */
  sumOnly(): void {
    this.#state = 'sum-only';
    this.advance(0);
  }

  /** After `sumOnly`, when all was pushed: the last eight bytes against the CRC-64 of all before them. */
  checksumOfAll(): 'ok' | 'disabled' | 'wrong' {
    const c = this.#cursor;
    c.show(this.#window, this.#from, this.#to, this.#base);
    if (this.#to - this.#from < checksumBytes) return 'wrong';
    const written = c.u64le();
    if (written === 0n) return 'disabled';
    return written === this.#crc.value ? 'ok' : 'wrong';
  }

  /** Says that no bytes follow. */
  finish(): void {
    if (this.done) return;
    const at = this.pushed;
    const inside = this.#state === 'checksum' ? 'checksum' : this.#records.phase;
    throw new RewindError('RDB_TRUNCATED', `the dump ends at byte ${at} too early, inside of: ${inside}`, {
      details: { offset: at },
    });
  }

  /** Sums what was read, also where it stops in the middle. */
  #readRecords(c: Cursor): void {
    try {
      this.#records.run(c);
      this.#state = this.version < firstVersionWithChecksum ? 'done' : 'checksum';
    } finally {
      this.#sum(c.mark);
    }
  }

  #readChecksum(c: Cursor): void {
    const offset = c.offset;
    const written = c.u64le();
    if (this.#sumsAll && written !== 0n && written !== this.#crc.value) {
      const message = "the dump's CRC-64 does not fit its bytes: they changed after they were written";
      throw new RewindError('RDB_CHECKSUM_WRONG', message, { details: { offset } });
    }
    if (this.#sumsAll && written !== 0n) this.crc = 'ok';
    this.#from = c.pos;
    this.#state = 'done';
  }

  #sum(to: number): void {
    if (this.#sumsAll) this.#crc.update(this.#window, this.#from, to);
    this.#from = to;
  }
}
