import type { BlobFormat } from './blob-reader.ts';
import type { Cursor } from './cursor.ts';
import type { Elements } from './elements.ts';
import { int64 } from './listpack.ts';

/** An intset (intset.c): bytes of each integer (2, 4 or 8), how many there are, the integers, little end first. */
export class Intset implements BlobFormat {
  readonly name = 'intset';
  elements: Elements;
  #width = 0;
  #left = 0;

  constructor(elements: Elements) {
    this.elements = elements;
  }

  begin(): void {
    this.#width = 0;
  }

  run(c: Cursor): void {
    if (this.#width === 0) {
      c.need(8);
      const width = c.u32le();
      if (width !== 2 && width !== 4 && width !== 8) throw c.corrupt(`an intset of ${width}-byte integers`);
      this.#width = width;
      this.#left = c.u32le();
      c.commit();
    }
    while (this.#left > 0) {
      this.elements.int(c, this.#int(c));
      this.#left--;
      c.commit();
    }
    this.elements.end(c);
  }

  #int(c: Cursor): number | bigint {
    if (this.#width === 2) return (c.u16le() << 16) >> 16;
    if (this.#width === 4) return c.u32le() | 0;
    c.need(8);
    return int64(c.u32le(), c.u32le());
  }
}
