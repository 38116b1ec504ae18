import type { BlobFormat, BlobReader } from '../blob-reader.ts';
import type { Cursor } from '../cursor.ts';
import type { Elements } from '../elements.ts';
import type { StringReader } from '../string-reader.ts';
import type { ValueSink } from '../value-sink.ts';
import type { ValueReader } from './value-reader.ts';

/** quicklist.h: a node is one long element as it is, or many in a listpack. */
const container = { plain: 1, packed: 2 } as const;

/**
 * A count and that many nodes: each a ziplist (type 14, Redis 3.2 to 6.2), or said before it what it is, a listpack or
 * one plain element (type 18, Redis 7 and newer).
 */
export class QuicklistValue implements ValueReader {
  readonly #strings: StringReader;
  readonly #blobs: BlobReader;
  readonly #format: BlobFormat;
  readonly #elements: Elements;
  readonly #tagged: boolean;
  #sink: ValueSink | null = null;
  #left = -1;
  #container = 0;

  constructor(strings: StringReader, blobs: BlobReader, format: BlobFormat, elements: Elements, tagged: boolean) {
    this.#strings = strings;
    this.#blobs = blobs;
    this.#format = format;
    this.#elements = elements;
    this.#tagged = tagged;
  }

  begin(sink: ValueSink | null): void {
    this.#sink = sink;
    this.#left = -1;
    this.#container = 0;
    if (sink !== null) this.#elements.begin(sink);
  }

  run(c: Cursor): void {
    if (this.#left < 0) {
      this.#left = c.length();
      c.commit();
    }
    while (this.#left > 0) {
      if (this.#container === 0) {
        this.#container = this.#tagged ? c.length() : container.packed;
        if (this.#container !== container.plain && this.#container !== container.packed) {
          throw c.corrupt(`a list's node of kind ${this.#container}`);
        }
        c.commit();
      }
      if (this.#container === container.plain) this.#strings.read(c, this.#sink);
      else this.#blobs.read(c, this.#sink === null ? null : this.#format);
      this.#container = 0;
      this.#left--;
    }
  }
}
