import type { BlobFormat } from './blob-reader.ts';
import type { Cursor } from './cursor.ts';
import type { Elements } from './elements.ts';
import { int64 } from './listpack.ts';
import { pieceBytes } from './string-reader.ts';

const headerBytes = 10;
const endByte = 0xff;
const countUnknown = 0xffff;

/**
 * A ziplist (before Redis 7; ziplist.c): total bytes, offset of the last element, number of elements, the elements,
 * 0xff. Each element begins with the length of the one before it: it is checked too.
 */
export class Ziplist implements BlobFormat {
  readonly name = 'ziplist';
  elements: Elements;
  #total = 0;
  #tail = 0;
  #count = 0;
  #seen = 0;
  #read = 0;
  #lastAt = 0;
  #previousBytes = 0;
  #entryHead = 0;
  #textLeft = -1;
  #headerRead = false;

  constructor(elements: Elements) {
    this.elements = elements;
  }

  begin(): void {
    this.#headerRead = false;
    this.#textLeft = -1;
    this.#seen = 0;
    this.#previousBytes = 0;
    this.#read = headerBytes;
    this.#lastAt = headerBytes;
  }

  run(c: Cursor): void {
    if (!this.#headerRead) {
      c.need(headerBytes);
      this.#total = c.u32le();
      this.#tail = c.u32le();
      this.#count = c.u16le();
      this.#headerRead = true;
      c.commit();
    }
    if (this.#textLeft >= 0) this.#longText(c);
    while (this.#entry(c)) c.commit();
    if (this.#count !== countUnknown && this.#count !== this.#seen) {
      throw c.corrupt(`a ziplist claims ${this.#count} elements and holds ${this.#seen}`);
    }
    if (this.#read + 1 !== this.#total || this.#lastAt !== this.#tail) {
      throw c.corrupt('a ziplist is not as long as it claims, or its last element is elsewhere');
    }
    this.elements.end(c);
    c.commit();
  }

  /** Reads one entry and gives it on; false at the end byte. */
  #entry(c: Cursor): boolean {
    const start = c.pos;
    let previous = c.u8();
    if (previous === endByte) return false;
    if (previous === 0xfe) previous = c.u32le();
    if (previous !== this.#previousBytes) throw c.corrupt('a ziplist element is not as long as the next one says');
    const first = c.u8();
    const head = c.pos - start;
    if (first < 0x40) return this.#text(c, start, first);
    if (first < 0x80) return this.#text(c, start, ((first & 0x3f) << 8) | c.u8());
    if (first === 0x80) return this.#text(c, start, c.u32be());
    switch (first) {
      case 0xc0:
        return this.#int(c, (c.u16le() << 16) >> 16, head + 2);
      case 0xd0:
        return this.#int(c, c.u32le() | 0, head + 4);
      case 0xe0:
        return this.#int(c, int64(c.u32le(), c.u32le()), head + 8);
      case 0xf0:
        return this.#int(c, ((c.u16le() | (c.u8() << 16)) << 8) >> 8, head + 3);
      case 0xfe:
        return this.#int(c, (c.u8() << 24) >> 24, head + 1);
      default:
        if (first > 0xf0 && first < 0xfe) return this.#int(c, first - 0xf1, head);
        throw c.corrupt(`0x${first.toString(16)} does not begin a ziplist's element`);
    }
  }

  #int(c: Cursor, value: number | bigint, entryBytes: number): true {
    this.elements.int(c, value);
    this.#done(entryBytes);
    return true;
  }

  #text(c: Cursor, entryStart: number, length: number): true {
    const start = c.pos;
    const end = start + length;
    if (end > c.limit && length > pieceBytes) {
      this.#entryHead = start - entryStart + length;
      this.#textLeft = length;
      c.commit();
      this.#longText(c);
      return true;
    }
    c.need(length);
    c.pos = end;
    this.elements.text(c, c.buf, start, end, true);
    this.#done(end - entryStart);
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
    this.#textLeft = -1;
    this.#done(this.#entryHead);
  }

  #done(entryBytes: number): void {
    this.#lastAt = this.#read;
    this.#read += entryBytes;
    this.#previousBytes = entryBytes;
    this.#seen++;
  }
}
