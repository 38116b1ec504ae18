import type { Cursor } from '../cursor.ts';
import type { StringReader } from '../string-reader.ts';
import type { ValueSink } from '../value-sink.ts';
import type { ValueReader } from './value-reader.ts';

/** A count and that many strings: a list (type 1, before Redis 3.2) or a set (type 2). */
export class StringsValue implements ValueReader {
  readonly #strings: StringReader;
  #sink: ValueSink | null = null;
  #left = -1;

  constructor(strings: StringReader) {
    this.#strings = strings;
  }

  begin(sink: ValueSink | null): void {
    this.#sink = sink;
    this.#left = -1;
  }

  run(c: Cursor): void {
    if (this.#left < 0) {
      this.#left = c.length();
      c.commit();
    }
    while (this.#left > 0) {
      this.#strings.read(c, this.#sink);
      this.#left--;
    }
  }
}
