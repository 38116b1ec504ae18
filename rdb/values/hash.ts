import type { Cursor } from '../cursor.ts';
import type { StringReader } from '../string-reader.ts';
import type { ValueSink } from '../value-sink.ts';
import type { ValueReader } from './value-reader.ts';

/**
 * Where a hash keeps its fields' expiries:
 * - `none`: type 4;
 * - `absolute-first`: a length before each field, Unix ms (type 22 of REDIS, release candidates of 7.4);
 * - `relative-first`: the earliest expiry in 8 bytes, then before each field a length, 0 for none, else ms after the
 *   earliest plus one (type 24 of REDIS);
 * - `last`: 8 bytes behind each value, Unix ms or -1 (type 22 of VALKEY).
 */
export type FieldExpiries = 'none' | 'absolute-first' | 'relative-first' | 'last';

/** The largest expiry of a field (ebuckets.h, EB_EXPIRE_TIME_MAX: 48 bits). */
const largestExpiry = 0xffff_ffff_ffff;

/** A count and that many fields with values, each a string of its own. */
export class HashValue implements ValueReader {
  readonly #strings: StringReader;
  readonly #expiries: FieldExpiries;
  #sink: ValueSink | null = null;
  #left = -1;
  #earliest = 0;
  #expiry = 0;
  #phase: 'earliest' | 'count' | 'expiry' | 'field' | 'value' | 'expiry-last' = 'count';

  constructor(strings: StringReader, expiries: FieldExpiries) {
    this.#strings = strings;
    this.#expiries = expiries;
  }

  begin(sink: ValueSink | null): void {
    this.#sink = sink;
    this.#left = -1;
    this.#expiry = 0;
    this.#phase = this.#expiries === 'relative-first' ? 'earliest' : 'count';
  }

  run(c: Cursor): void {
    while (this.#left !== 0) {
      switch (this.#phase) {
        case 'earliest':
          this.#earliest = c.i64le();
          this.#phase = 'count';
          break;
        case 'count':
          this.#left = c.length();
          this.#phase = this.#firstPhase();
          break;
        case 'expiry':
          this.#expiry = this.#readExpiry(c);
          this.#phase = 'field';
          break;
        case 'field':
          this.#strings.read(c, this.#sink);
          this.#phase = 'value';
          break;
        case 'value':
          this.#strings.read(c, this.#sink);
          if (this.#expiries === 'last') this.#phase = 'expiry-last';
          else this.#pairEnd();
          break;
        case 'expiry-last':
          this.#expiry = this.#expiryLast(c);
          this.#pairEnd();
      }
      c.commit();
    }
  }

  #firstPhase(): 'expiry' | 'field' {
    return this.#expiries === 'absolute-first' || this.#expiries === 'relative-first' ? 'expiry' : 'field';
  }

  #readExpiry(c: Cursor): number {
    const written = c.length();
    const expiry = this.#expiries === 'absolute-first' || written === 0 ? written : this.#earliest + written - 1;
    if (expiry < 0 || expiry > largestExpiry) throw c.corrupt(`a hash field's expiry of ${expiry}`);
    return expiry;
  }

  #expiryLast(c: Cursor): number {
    const written = c.i64le();
    if (written < -1) throw c.corrupt(`a hash field's expiry of ${written}`);
    return Math.max(0, written);
  }

  #pairEnd(): void {
    if (this.#expiry > 0) this.#sink?.fieldExpiry(this.#expiry);
    this.#sink?.pairEnd();
    this.#left--;
    this.#phase = this.#firstPhase();
  }
}
