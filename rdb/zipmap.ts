import type { BlobFormat } from './blob-reader.ts';
import type { Cursor } from './cursor.ts';
import type { Elements } from './elements.ts';
import { pieceBytes } from './string-reader.ts';

const endByte = 0xff;
/** A first byte from which the number of pairs is not kept. */
const countUnknown = 0xfe;

/**
 * A zipmap (small hashes before Redis 2.6; zipmap.c): number of pairs, then field length, field, value length, unused
 * bytes behind the value, value, those unused bytes; 0xff.
 */
export class Zipmap implements BlobFormat {
  readonly name = 'zipmap';
  elements: Elements;
  #count = -1;
  #seen = 0;
  #phase: 'field' | 'value' | 'text' = 'field';
  #after: 'field' | 'value' = 'field';
  #textLeft = 0;
  #unused = 0;

  constructor(elements: Elements) {
    this.elements = elements;
  }

  begin(): void {
    this.#count = -1;
    this.#seen = 0;
    this.#phase = 'field';
    this.#unused = 0;
  }

  run(c: Cursor): void {
    if (this.#count < 0) {
      this.#count = c.u8();
      c.commit();
    }
    for (;;) {
      if (this.#phase === 'text') {
        this.#text(c);
      } else if (this.#phase === 'field') {
        this.#skipUnused(c);
        const first = c.u8();
        if (first === endByte) break;
        this.#beginText(c, this.#length(c, first), 'value');
      } else {
        const length = this.#length(c, c.u8());
        this.#unused = c.u8();
        this.#beginText(c, length, 'field');
        this.#seen++;
      }
    }
    if (this.#count < countUnknown && this.#count !== this.#seen) {
      throw c.corrupt(`a zipmap claims ${this.#count} pairs and holds ${this.#seen}`);
    }
    this.elements.end(c);
    c.commit();
  }

  #length(c: Cursor, first: number): number {
    if (first < 254) return first;
    if (first === 254) return c.u32le();
    throw c.corrupt('a zipmap ends with a field that has no value');
  }

  #beginText(c: Cursor, length: number, after: 'field' | 'value'): void {
    c.commit();
    this.#textLeft = length;
    this.#after = after;
    this.#phase = 'text';
  }

  #text(c: Cursor): void {
    c.need(Math.min(this.#textLeft, pieceBytes));
    const take = Math.min(this.#textLeft, c.limit - c.pos);
    this.elements.text(c, c.buf, c.pos, c.pos + take, take === this.#textLeft);
    c.pos += take;
    c.commit();
    this.#textLeft -= take;
    if (this.#textLeft === 0) this.#phase = this.#after;
  }

  #skipUnused(c: Cursor): void {
    c.need(this.#unused);
    c.pos += this.#unused;
    this.#unused = 0;
    c.commit();
  }
}
