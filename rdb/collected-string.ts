import { RewindError } from '../errors/rewind-error.ts';
import type { PieceTarget } from './string-reader.ts';

/**
 * A string that has to be seen whole: keys, names, ids. One that comes in one piece is not copied; `bytes`, `start`
 * and `end` are valid until the next read. A longer one grows as its bytes arrive, whatever length it claims.
 */
export class CollectedString implements PieceTarget {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  readonly #what: string;
  readonly #limit: number;
  #own = new Uint8Array(0);
  #held = 0;

  /** `what` names it in errors; more than `limit` bytes are one. */
  constructor(what: string, limit: number) {
    this.#what = what;
    this.#limit = limit;
  }

  piece(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    if (last && this.#held === 0) {
      this.bytes = bytes;
      this.start = start;
      this.end = end;
      return;
    }
    const total = this.#held + end - start;
    if (total > this.#limit) {
      throw new RewindError('RDB_STRING_TOO_LONG', `${this.#what} is longer than ${this.#limit} bytes`, {
        details: { limit: this.#limit },
      });
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

  /** Its bytes as a copy. */
  copy(): Buffer {
    return Buffer.from(this.bytes.subarray(this.start, this.end));
  }

  /** As text; bytes that are no UTF-8 become replacement characters. */
  text(): string {
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + this.start, this.end - this.start).toString();
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.min(Math.max(bytes * 2, 1024), Math.max(bytes, this.#limit)));
    grown.set(this.#own.subarray(0, this.#held));
    this.#own = grown;
  }
}
