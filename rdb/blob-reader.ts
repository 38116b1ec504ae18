import { Cursor, needMore } from './cursor.ts';
import { type PieceTarget, pieceBytes, type StringReader } from './string-reader.ts';

/** Reads an encoding that is stored whole inside of one string: listpack, ziplist, intset, zipmap. */
export interface BlobFormat {
  /** The name for errors. */
  readonly name: string;
  begin(): void;
  /** Reads on; returns at the encoding's end, throws `needMore` before. */
  run(c: Cursor): void;
}

/**
 * Feeds a string's bytes to the format inside of it. The usual one comes in one piece and is read where it lies; a
 * longer one passes through a window that holds one piece and what the format could not use yet.
 */
export class BlobReader implements PieceTarget {
  readonly #strings: StringReader;
  readonly #cursor = new Cursor();
  #format: BlobFormat | null = null;
  #window = new Uint8Array(0);
  #held = 0;
  #finished = false;

  constructor(strings: StringReader) {
    this.#strings = strings;
  }

  /** Reads the next string through `format`, or skips it where that is null. */
  read(c: Cursor, format: BlobFormat | null): void {
    if (format === null) {
      this.#strings.read(c, null);
      return;
    }
    if (this.#format === null) {
      this.#format = format;
      this.#held = 0;
      this.#finished = false;
      this.#cursor.origin = c.offset;
      format.begin();
    }
    this.#strings.read(c, this);
    this.#format = null;
  }

  piece(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.#held === 0) {
      this.#run(bytes, start, end, last);
      return;
    }
    const total = this.#held + end - start;
    if (this.#window.length < total) this.#grow(total);
    this.#window.set(bytes.subarray(start, end), this.#held);
    this.#run(this.#window, 0, total, last);
  }

  #run(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    const c = this.#cursor;
    const format = this.#format!;
    c.show(bytes, start, end, 0);
    if (!this.#finished) {
      try {
        format.run(c);
        this.#finished = true;
        c.commit();
      } catch (error) {
        if (error !== needMore) throw error;
        if (last) throw c.corrupt(`a ${format.name} ends before its end`);
        c.pos = c.mark;
      }
    }
    if (this.#finished && c.pos < end) throw c.corrupt(`bytes follow the end of a ${format.name}`);
    this.#held = end - c.pos;
    if (this.#held === 0) return;
    if (this.#window.length < this.#held) this.#grow(this.#held);
    if (bytes === this.#window) this.#window.copyWithin(0, c.pos, end);
    else this.#window.set(bytes.subarray(c.pos, end), 0);
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(bytes, 2 * pieceBytes));
    grown.set(this.#window.subarray(0, this.#held));
    this.#window = grown;
  }
}
