import type { BlobFormat } from './blob-reader.ts';
import type { Cursor } from './cursor.ts';
import type { Elements } from './elements.ts';
import { pieceBytes } from './string-reader.ts';

const endByte = 0xff;
/** Number of elements when there are too many for its two bytes. */
const countUnknown = 0xffff;

/** Bytes that the length behind an entry takes (listpack.c, lpEncodeBacklenBytes). */
function backLengthBytes(entryBytes: number): number {
  if (entryBytes <= 127) return 1;
  if (entryBytes < 16383) return 2;
  if (entryBytes < 2097151) return 3;
  return entryBytes < 268435455 ? 4 : 5;
}

/**
 * A listpack (Redis 5 and newer; listpack.c): total bytes, number of elements, the elements, 0xff. Behind each element
 * stands its length once more, for reading backwards: it is checked too.
 */
export class Listpack implements BlobFormat {
  readonly name = 'listpack';
  elements: Elements;
  #total = 0;
  #count = 0;
  #seen = 0;
  #read = 0;
  #textLeft = -1;
  #entryBytes = 0;
  #headerRead = false;

  constructor(elements: Elements) {
    this.elements = elements;
  }

  begin(): void {
    this.#headerRead = false;
    this.#textLeft = -1;
    this.#seen = 0;
    this.#read = 6;
  }

  run(c: Cursor): void {
    if (!this.#headerRead) {
      c.need(6);
      this.#total = c.u32le();
      this.#count = c.u16le();
      this.#headerRead = true;
      c.commit();
    }
    if (this.#textLeft >= 0) {
      this.#longText(c);
      c.commit();
      this.#seen++;
    }
    do this.#shortEntries(c);
    while (this.#entryAndMore(c));
    if (this.#count !== countUnknown && this.#count !== this.#seen) {
      throw c.corrupt(`a listpack claims ${this.#count} elements and holds ${this.#seen}`);
    }
    if (this.#read !== this.#total) throw c.corrupt(`a listpack claims ${this.#total} bytes and has ${this.#read}`);
    this.elements.end(c);
    c.commit();
  }

  /**
   * Most elements are small integers and short texts, with a byte before and a byte behind them: those that are shown
   * whole are read here, in half the time that it takes to look at each byte's end.
   */
  #shortEntries(c: Cursor): void {
    const { buf, limit } = c;
    const { elements } = this;
    const begin = c.pos;
    let pos = begin;
    let seen = 0;
    for (;;) {
      const first = pos < limit ? buf[pos]! : endByte;
      if (first >= 0xc0) break;
      const end = first < 0x80 ? pos + 1 : pos + 1 + (first & 0x3f);
      if (end >= limit) break;
      c.pos = end;
      if (buf[end] !== end - pos) throw c.corrupt("a listpack element's two lengths differ");
      c.pos = end + 1;
      if (first < 0x80) elements.int(c, first);
      else elements.text(c, buf, pos + 1, end, true);
      pos = end + 1;
      seen++;
    }
    this.#seen += seen;
    this.#read += pos - begin;
    c.commit();
  }

  /** Reads one entry of any kind; false at the end byte. */
  #entryAndMore(c: Cursor): boolean {
    const more = this.#entry(c);
    if (more) this.#seen++;
    c.commit();
    return more;
  }

  /** Reads one entry and gives it on; false at the end byte. */
  #entry(c: Cursor): boolean {
    const first = c.u8();
    if (first < 0x80) return this.#int(c, first, 1);
    if (first < 0xc0) return this.#text(c, first & 0x3f, 1);
    if (first < 0xe0) return this.#int(c, ((((first & 0x1f) << 8) | c.u8()) << 19) >> 19, 2);
    if (first < 0xf0) return this.#text(c, ((first & 0x0f) << 8) | c.u8(), 2);
    switch (first) {
      case 0xf0:
        return this.#text(c, c.u32le(), 5);
      case 0xf1:
        return this.#int(c, (c.u16le() << 16) >> 16, 3);
      case 0xf2:
        return this.#int(c, ((c.u16le() | (c.u8() << 16)) << 8) >> 8, 4);
      case 0xf3:
        return this.#int(c, c.u32le() | 0, 5);
      case 0xf4:
        return this.#int(c, int64(c.u32le(), c.u32le()), 9);
      case endByte:
        this.#read++;
        return false;
      default:
        throw c.corrupt(`0x${first.toString(16)} does not begin a listpack's element`);
    }
  }

  #int(c: Cursor, value: number | bigint, entryBytes: number): true {
    this.#backLength(c, entryBytes);
    this.elements.int(c, value);
    return true;
  }

  #text(c: Cursor, length: number, headBytes: number): true {
    const start = c.pos;
    const end = start + length;
    if (end > c.limit && length > pieceBytes) {
      c.commit();
      this.#textLeft = length;
      this.#entryBytes = headBytes + length;
      this.#longText(c);
      return true;
    }
    c.need(length);
    c.pos = end;
    this.#backLength(c, headBytes + length);
    this.elements.text(c, c.buf, start, end, true);
    return true;
  }

  /** An element longer than a piece: given on as it comes. */
  #longText(c: Cursor): void {
    while (this.#textLeft > 0) {
      if (c.pos === c.limit) c.need(1);
      const take = Math.min(this.#textLeft, c.limit - c.pos);
      this.elements.text(c, c.buf, c.pos, c.pos + take, take === this.#textLeft);
      c.pos += take;
      c.commit();
      this.#textLeft -= take;
    }
    this.#backLength(c, this.#entryBytes);
    this.#textLeft = -1;
  }

  #backLength(c: Cursor, entryBytes: number): void {
    const bytes = backLengthBytes(entryBytes);
    c.need(bytes);
    if (bytes === 1) {
      if (c.buf[c.pos] !== entryBytes) throw c.corrupt("a listpack element's two lengths differ");
      c.pos++;
    } else {
      let length = 0;
      // The highest bit says that more bytes stand before this one: all but the first have it.
      let marked = (c.buf[c.pos]! & 0x80) === 0;
      for (let i = 0; i < bytes; i++) {
        length = length * 128 + (c.buf[c.pos + i]! & 0x7f);
        if (i > 0) marked &&= (c.buf[c.pos + i]! & 0x80) !== 0;
      }
      if (!marked || length !== entryBytes) throw c.corrupt("a listpack element's two lengths differ");
      c.pos += bytes;
    }
    this.#read += entryBytes + bytes;
  }
}

/** A signed 64-bit integer from its halves; a bigint only where a number would round it. */
export function int64(low: number, high: number): number | bigint {
  const signedHigh = high | 0;
  if (signedHigh >= -0x20_0000 && signedHigh < 0x20_0000) return signedHigh * 0x1_0000_0000 + low;
  return BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
}
