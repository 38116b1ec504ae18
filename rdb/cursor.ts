import type { ErrorCode } from '../errors/catalogue.ts';
import { RewindError } from '../errors/rewind-error.ts';

/**
 * Thrown by a cursor when the bytes shown so far end inside of what is being read. Whoever shows bytes catches it,
 * goes back to `mark` and calls again with more. It is no Error: it carries no stack and costs next to nothing.
 */
export const needMore = Object.freeze({ reason: 'the bytes shown so far end here' });

/**
 * Reads numbers off the bytes shown so far. Readers are written straight down and may be interrupted by `needMore` at
 * any read; what they have finished they `commit`, and are called again from there.
 */
export class Cursor {
  buf: Uint8Array = new Uint8Array(0);
  pos = 0;
  limit = 0;
  /** Where to go back to: everything before is finished. */
  mark = 0;
  /** How many bytes from `mark` on have to be shown together to go on, when `needMore` was thrown. */
  wanted = 0;
  /** Offset in the dump of `buf[0]`. */
  base = 0;
  /** Set where `buf` is not a stretch of the dump (decompressed): the offset to name in errors. */
  origin = -1;
  #view: DataView | undefined;
  #viewed: Uint8Array | undefined;

  show(buf: Uint8Array, start: number, end: number, base: number): void {
    this.buf = buf;
    this.pos = start;
    this.mark = start;
    this.limit = end;
    this.base = base;
  }

  /** Offset in the dump, for errors and byte ranges. */
  get offset(): number {
    return this.origin >= 0 ? this.origin : this.base + this.pos;
  }

  /** `buf` as a view, for numbers of several bytes. */
  get view(): DataView {
    if (this.#viewed !== this.buf) {
      this.#viewed = this.buf;
      this.#view = new DataView(this.buf.buffer, this.buf.byteOffset, this.buf.byteLength);
    }
    return this.#view!;
  }

  commit(): void {
    this.mark = this.pos;
  }

  need(bytes: number): void {
    if (this.limit - this.pos < bytes) {
      this.wanted = this.pos - this.mark + bytes;
      throw needMore;
    }
  }

  u8(): number {
    if (this.pos >= this.limit) this.need(1);
    return this.buf[this.pos++]!;
  }

  u16le(): number {
    this.need(2);
    const { buf, pos } = this;
    this.pos = pos + 2;
    return buf[pos]! | (buf[pos + 1]! << 8);
  }

  u32le(): number {
    this.need(4);
    const { buf, pos } = this;
    this.pos = pos + 4;
    return (buf[pos]! | (buf[pos + 1]! << 8) | (buf[pos + 2]! << 16) | (buf[pos + 3]! << 24)) >>> 0;
  }

  u32be(): number {
    this.need(4);
    const { buf, pos } = this;
    this.pos = pos + 4;
    return ((buf[pos]! << 24) | (buf[pos + 1]! << 16) | (buf[pos + 2]! << 8) | buf[pos + 3]!) >>> 0;
  }

  u64be(): bigint {
    this.need(8);
    this.pos += 8;
    return this.view.getBigUint64(this.pos - 8);
  }

  u64le(): bigint {
    this.need(8);
    this.pos += 8;
    return this.view.getBigUint64(this.pos - 8, true);
  }

  /** A time or count that a server writes as signed 64-bit, little end first. Beyond 2^53 the value is rounded. */
  i64le(): number {
    this.need(8);
    const low = this.u32le();
    const high = this.u32le() | 0;
    return high * 0x1_0000_0000 + low;
  }

  f64le(): number {
    this.need(8);
    this.pos += 8;
    return this.view.getFloat64(this.pos - 8, true);
  }

  /** A length as rdb.h encodes it: 6, 14, 32 or 64 bits. A string's special encodings are no length. */
  length(): number {
    const first = this.u8();
    if (first < 0x40) return first;
    if (first < 0x80) return ((first & 0x3f) << 8) | this.u8();
    return this.longLength(first);
  }

  /** The rest of a length whose first byte was read: 32 or 64 bits. */
  longLength(first: number): number {
    if (first === 0x80) return this.u32be();
    if (first === 0x81) {
      const value = this.u64be();
      if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.corrupt(`a length of ${value}`);
      return Number(value);
    }
    throw this.corrupt(`0x${first.toString(16)} does not begin a length`);
  }

  /** The same encoding where all 64 bits are used: stream ids, counters, module ids. */
  length64(): bigint {
    const first = this.u8();
    if (first < 0x40) return BigInt(first);
    if (first < 0x80) return BigInt(((first & 0x3f) << 8) | this.u8());
    if (first === 0x81) return this.u64be();
    return BigInt(this.longLength(first));
  }

  corrupt(what: string, offset = this.offset): RewindError {
    return this.error('RDB_CORRUPT', `the dump is damaged at byte ${offset}: ${what}`, { offset });
  }

  error(code: ErrorCode, message: string, details: Record<string, unknown> = {}): RewindError {
    return new RewindError(code, message, { details: { offset: this.offset, ...details } });
  }
}
