import type { Cursor } from '../cursor.ts';
import { parseScore } from '../score.ts';
import type { StringReader } from '../string-reader.ts';
import type { ValueSink } from '../value-sink.ts';
import type { ValueReader } from './value-reader.ts';

/** A count and that many members with scores: in text (type 3, before Redis 4) or as doubles (type 5). */
export class ZsetValue implements ValueReader {
  readonly #strings: StringReader;
  readonly #binary: boolean;
  #sink: ValueSink | null = null;
  #left = -1;
  #haveMember = false;

  constructor(strings: StringReader, scores: 'text' | 'double') {
    this.#strings = strings;
    this.#binary = scores === 'double';
  }

  begin(sink: ValueSink | null): void {
    this.#sink = sink;
    this.#left = -1;
    this.#haveMember = false;
  }

  run(c: Cursor): void {
    if (this.#left < 0) {
      this.#left = c.length();
      c.commit();
    }
    while (this.#left > 0) {
      if (!this.#haveMember) {
        this.#strings.read(c, this.#sink);
        this.#haveMember = true;
      }
      const score = this.#binary ? c.f64le() : textScore(c);
      if (Number.isNaN(score)) throw c.corrupt("a sorted set's score is no number");
      this.#sink?.score(score);
      c.commit();
      this.#haveMember = false;
      this.#left--;
    }
  }
}

/** One byte of length, or 253 for NaN, 254 for infinity, 255 for minus infinity, then the text. */
function textScore(c: Cursor): number {
  const length = c.u8();
  if (length === 253) return Number.NaN;
  if (length === 254) return Number.POSITIVE_INFINITY;
  if (length === 255) return Number.NEGATIVE_INFINITY;
  c.need(length);
  c.pos += length;
  return parseScore(c.buf, c.pos - length, c.pos);
}
