import type { Cursor } from './cursor.ts';
import { decimalText, writeDecimal } from './decimal.ts';
import { parseScore } from './score.ts';
import type { ValueSink } from './value-sink.ts';

/** Takes the elements of a listpack, ziplist, intset or zipmap one by one and gives them their meaning. */
export interface Elements {
  begin(sink: ValueSink): void;
  text(c: Cursor, bytes: Uint8Array, start: number, end: number, last: boolean): void;
  int(c: Cursor, value: number | bigint): void;
  /** The encoding is over: is what was given complete? */
  end(c: Cursor): void;
}

/** Elements of a list or set: each stands for itself. */
export class SingleElements implements Elements {
  #sink!: ValueSink;

  begin(sink: ValueSink): void {
    this.#sink = sink;
  }

  text(_c: Cursor, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#sink.piece(bytes, start, end, last);
  }

  int(_c: Cursor, value: number | bigint): void {
    this.#sink.piece(decimalText, writeDecimal(value), decimalText.length, true);
  }

  end(): void {}
}

/** Fields and values of a hash in turn. */
export class PairElements implements Elements {
  #sink!: ValueSink;
  #haveField = false;

  begin(sink: ValueSink): void {
    this.#sink = sink;
    this.#haveField = false;
  }

  text(_c: Cursor, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#sink.piece(bytes, start, end, last);
    if (last) this.#next();
  }

  int(_c: Cursor, value: number | bigint): void {
    this.#sink.piece(decimalText, writeDecimal(value), decimalText.length, true);
    this.#next();
  }

  end(c: Cursor): void {
    if (this.#haveField) throw c.corrupt('a hash ends with a field that has no value');
  }

  #next(): void {
    if (this.#haveField) this.#sink.pairEnd();
    this.#haveField = !this.#haveField;
  }
}

/** Field, value and expiry (Unix ms, 0: none) of a hash in turn: Redis 7.4 and newer. */
export class TripleElements implements Elements {
  #sink!: ValueSink;
  #at = 0;

  begin(sink: ValueSink): void {
    this.#sink = sink;
    this.#at = 0;
  }

  text(c: Cursor, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    if (this.#at === 2) throw c.corrupt("a hash field's expiry is no integer");
    this.#sink.piece(bytes, start, end, last);
    if (last) this.#at++;
  }

  int(c: Cursor, value: number | bigint): void {
    if (this.#at < 2) {
      this.#sink.piece(decimalText, writeDecimal(value), decimalText.length, true);
      this.#at++;
      return;
    }
    if (typeof value === 'bigint' || value < 0) throw c.corrupt(`a hash field's expiry of ${value}`);
    if (value > 0) this.#sink.fieldExpiry(value);
    this.#sink.pairEnd();
    this.#at = 0;
  }

  end(c: Cursor): void {
    if (this.#at !== 0) throw c.corrupt('a hash ends with a field that has no value or expiry');
  }
}

/** Members and scores of a sorted set in turn. */
export class ScoredElements implements Elements {
  #sink!: ValueSink;
  #haveMember = false;

  begin(sink: ValueSink): void {
    this.#sink = sink;
    this.#haveMember = false;
  }

  text(c: Cursor, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    if (!this.#haveMember) {
      this.#sink.piece(bytes, start, end, last);
      this.#haveMember = last;
      return;
    }
    const score = last ? parseScore(bytes, start, end) : Number.NaN;
    if (Number.isNaN(score)) throw c.corrupt("a sorted set's score is no number");
    this.#sink.score(score);
    this.#haveMember = false;
  }

  int(_c: Cursor, value: number | bigint): void {
    if (this.#haveMember) this.#sink.score(Number(value));
    else this.#sink.piece(decimalText, writeDecimal(value), decimalText.length, true);
    this.#haveMember = !this.#haveMember;
  }

  end(c: Cursor): void {
    if (this.#haveMember) throw c.corrupt('a sorted set ends with a member that has no score');
  }
}
