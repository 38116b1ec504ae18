import type { Cursor } from './cursor.ts';
import { decimalText, writeDecimal } from './decimal.ts';
import { type LzfState, lzfExpand, lzfHistory, lzfLargestRatio, lzfRoom } from './lzf.ts';

/** Who takes a string's bytes; they are valid only during the call. */
export interface PieceTarget {
  piece(bytes: Uint8Array, start: number, end: number, last: boolean): void;
}

/** A string of up to this many bytes (and so compressed) comes in one piece; of a longer one no more is held at once. */
export const pieceBytes = 64 * 1024;

const outputBytes = lzfHistory + pieceBytes + lzfRoom;

/**
 * Reads strings as rdb.h encodes them: plain, as an 8-, 16- or 32-bit integer (given as decimal text), or compressed.
 * May be interrupted at any byte; the next call to `read` goes on with the same string until it returns.
 */
export class StringReader {
  #plainLeft = 0;
  #compressedLeft = 0;
  #expandedLeft = 0;
  #flushed = 0;
  /** Where the compressed string at hand begins: damage inside of it is named by that. */
  #compressedAt = 0;
  readonly #lzf: LzfState = { input: 0, output: 0 };
  readonly #output = new Uint8Array(outputBytes);
  readonly #outputView = new DataView(this.#output.buffer);

  /** Hands the next string to `target`, or skips it where that is null. */
  read(c: Cursor, target: PieceTarget | null): void {
    if (this.#plainLeft > 0) this.#plain(c, target);
    else if (this.#compressedLeft > 0) this.#compressed(c, target!);
    else this.#next(c, target);
  }

  #next(c: Cursor, target: PieceTarget | null): void {
    const first = c.u8();
    let length: number;
    if (first < 0x40) length = first;
    else if (first < 0x80) length = ((first & 0x3f) << 8) | c.u8();
    else if (first < 0xc0) length = c.longLength(first);
    else {
      this.#encoded(c, first & 0x3f, target);
      return;
    }
    const end = c.pos + length;
    if (end <= c.limit) {
      target?.piece(c.buf, c.pos, end, true);
      c.pos = end;
      c.commit();
      return;
    }
    if (target !== null && length <= pieceBytes) c.need(length);
    c.commit();
    this.#plainLeft = length;
    this.#plain(c, target);
  }

  #plain(c: Cursor, target: PieceTarget | null): void {
    while (this.#plainLeft > 0) {
      if (c.pos === c.limit) c.need(1);
      const take = Math.min(this.#plainLeft, c.limit - c.pos, target === null ? Number.POSITIVE_INFINITY : pieceBytes);
      target?.piece(c.buf, c.pos, c.pos + take, take === this.#plainLeft);
      c.pos += take;
      c.commit();
      this.#plainLeft -= take;
    }
  }

  #encoded(c: Cursor, encoding: number, target: PieceTarget | null): void {
    let value: number;
    if (encoding === 0) value = (c.u8() << 24) >> 24;
    else if (encoding === 1) value = (c.u16le() << 16) >> 16;
    else if (encoding === 2) value = c.u32le() | 0;
    else if (encoding === 3) {
      this.#beginCompressed(c, target);
      return;
    } else throw c.corrupt(`an unknown string encoding ${encoding}`);
    target?.piece(decimalText, writeDecimal(value), decimalText.length, true);
    c.commit();
  }

  #beginCompressed(c: Cursor, target: PieceTarget | null): void {
    this.#compressedAt = c.offset;
    const compressed = c.length();
    const expanded = c.length();
    if (compressed === 0 || expanded === 0 || expanded > compressed * lzfLargestRatio) {
      throw c.corrupt(`a compressed string claims to make ${expanded} bytes of ${compressed}`, this.#compressedAt);
    }
    if (target === null) {
      c.commit();
      this.#plainLeft = compressed;
      this.#plain(c, null);
      return;
    }
    if (expanded <= pieceBytes && compressed <= 2 * pieceBytes) {
      c.need(compressed);
      this.#lzf.input = c.pos;
      this.#lzf.output = 0;
      const end = c.pos + compressed;
      const fits = lzfExpand(this.#lzf, c.view, end, this.#outputView, outputBytes);
      if (!fits || this.#lzf.input !== end || this.#lzf.output !== expanded) {
        throw c.corrupt('a compressed string does not expand to the length it claims', this.#compressedAt);
      }
      target.piece(this.#output, 0, expanded, true);
      c.pos = end;
      c.commit();
      return;
    }
    c.commit();
    this.#compressedLeft = compressed;
    this.#expandedLeft = expanded;
    this.#lzf.output = 0;
    this.#flushed = 0;
    this.#compressed(c, target);
  }

  /** A long compressed string: expanded token by token, handed on whenever the output is full. */
  #compressed(c: Cursor, target: PieceTarget): void {
    const state = this.#lzf;
    while (this.#compressedLeft > 0) {
      const end = Math.min(c.limit, c.pos + this.#compressedLeft);
      state.input = c.pos;
      const before = state.output;
      if (!lzfExpand(state, c.view, end, this.#outputView, outputBytes)) {
        throw c.corrupt('a compressed string refers to bytes before its beginning', this.#compressedAt);
      }
      const used = state.input - c.pos;
      const made = state.output - before;
      if (made > this.#expandedLeft)
        throw c.corrupt('a compressed string expands to more than it claims', this.#compressedAt);
      c.pos = state.input;
      c.commit();
      this.#compressedLeft -= used;
      this.#expandedLeft -= made;
      if (this.#compressedLeft === 0 && this.#expandedLeft > 0) {
        throw c.corrupt('a compressed string expands to less than it claims', this.#compressedAt);
      }
      if (state.output > outputBytes - lzfRoom || this.#compressedLeft === 0) {
        target.piece(this.#output, this.#flushed, state.output, this.#compressedLeft === 0);
        const kept = Math.min(lzfHistory, state.output);
        this.#output.copyWithin(0, state.output - kept, state.output);
        state.output = kept;
        this.#flushed = kept;
      } else if (used === 0) {
        // The next token is cut off: by the end of what is shown, or by the end of the string.
        if (end - c.pos === this.#compressedLeft)
          throw c.corrupt('a compressed string ends inside of a token', this.#compressedAt);
        c.need(end - c.pos + 1);
      }
    }
  }
}
