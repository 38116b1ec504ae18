import type { BlobFormat, BlobReader } from '../blob-reader.ts';
import type { Cursor } from '../cursor.ts';
import type { Elements } from '../elements.ts';
import type { ValueSink } from '../value-sink.ts';
import type { ValueReader } from './value-reader.ts';

/**
 * A value that is one packed string: listpack, ziplist, intset or zipmap (types 9 to 13, 16, 17, 20, 23). Type 25
 * has the earliest field's expiry in 8 bytes before it.
 */
export class PackedValue implements ValueReader {
  readonly #blobs: BlobReader;
  readonly #format: BlobFormat;
  readonly #elements: Elements;
  readonly #headBytes: number;
  #sink: ValueSink | null = null;
  #headRead = false;

  constructor(blobs: BlobReader, format: BlobFormat, elements: Elements, headBytes = 0) {
    this.#blobs = blobs;
    this.#format = format;
    this.#elements = elements;
    this.#headBytes = headBytes;
  }

  begin(sink: ValueSink | null): void {
    this.#sink = sink;
    this.#headRead = false;
    if (sink !== null) this.#elements.begin(sink);
  }

  run(c: Cursor): void {
    if (!this.#headRead) {
      c.need(this.#headBytes);
      c.pos += this.#headBytes;
      c.commit();
      this.#headRead = true;
    }
    this.#blobs.read(c, this.#sink === null ? null : this.#format);
  }
}
