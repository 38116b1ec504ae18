import type { RewindError } from '../errors/rewind-error.ts';
import type { PieceTarget } from './string-reader.ts';

/**
 * A string that has to be seen whole: a key, a name. One that comes in one piece is not copied; `bytes`, `start` and
 * `end` are valid until the next read. A longer one grows as its bytes arrive, whatever length it claims.
 */
export class CollectedString implements PieceTarget {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  readonly #limit: number;
  readonly #tooLong: (limit: number) => RewindError;
  #own = new Uint8Array(0);
  #held = 0;

  /** More than `limit` bytes are the error that `tooLong` makes. */
  constructor(limit: number, tooLong: (limit: number) => RewindError) {
    this.#limit = limit;
    this.#tooLong = tooLong;
  }

  piece(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    const total = this.#held + end - start;
    if (total > this.#limit) throw this.#tooLong(this.#limit);
    if (last && this.#held === 0) {
      this.bytes = bytes;
      this.start = start;
      this.end = end;
      return;
    }
    if (total > this.#own.length) this.#grow(total);
    this.#own.set(bytes.subarray(start, end), this.#held);
    this.#held = total;
    if (!last) return;
    this.bytes = this.#own;
    this.start = 0;
    this.end = total;
    this.#held = 0;
  }

  /** As text; bytes that are no UTF-8 become replacement characters. */
  text(): string {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.start, this.end - this.start).toString();
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.min(bytes * 2, this.#limit));
    grown.set(this.#own.subarray(0, this.#held));
    this.#own = grown;
  }
}
