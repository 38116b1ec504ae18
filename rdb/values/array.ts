import type { Cursor } from '../cursor.ts';
import type { StringReader } from '../string-reader.ts';
import type { ValueSink } from '../value-sink.ts';
import type { ValueReader } from './value-reader.ts';

/** What an element is kept as (array.h, AR_RDB_TAG_*). */
const kind = { string: 0, int: 1, float: 2, smallString: 3 } as const;

/**
 * An array (type 28, Redis 8.8): a count, where the next element goes if that is set, then for each element its index,
 * its kind and its value. Only its end is found: no server that could be asked for its content is at hand.
 */
export class ArrayValue implements ValueReader {
  readonly #strings: StringReader;
  #left = -1;
  #inString = false;

  constructor(strings: StringReader) {
    this.#strings = strings;
  }

  begin(_sink: ValueSink | null): void {
    this.#left = -1;
    this.#inString = false;
  }

  run(c: Cursor): void {
    if (this.#left < 0) {
      const count = c.length();
      if (c.length() !== 0) c.length64();
      this.#left = count;
      c.commit();
    }
    while (this.#left > 0) {
      if (!this.#inString) this.#element(c);
      if (this.#inString) this.#strings.read(c, null);
      this.#inString = false;
      this.#left--;
    }
  }

  #element(c: Cursor): void {
    c.length64();
    const tag = c.length();
    if (tag === kind.int || tag === kind.float) {
      c.need(8);
      c.pos += 8;
    } else if (tag === kind.string || tag === kind.smallString) {
      this.#inString = true;
    } else {
      throw c.corrupt(`an array's element of kind ${tag}`);
    }
    c.commit();
  }
}
