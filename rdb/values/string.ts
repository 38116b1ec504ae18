import type { Cursor } from '../cursor.ts';
import type { StringReader } from '../string-reader.ts';
import type { ValueSink } from '../value-sink.ts';
import type { ValueReader } from './value-reader.ts';

/** A string: type 0. */
export class StringValue implements ValueReader {
  readonly #strings: StringReader;
  #sink: ValueSink | null = null;

  constructor(strings: StringReader) {
    this.#strings = strings;
  }

  begin(sink: ValueSink | null): void {
    this.#sink = sink;
  }

  run(c: Cursor): void {
    this.#strings.read(c, this.#sink);
  }
}
