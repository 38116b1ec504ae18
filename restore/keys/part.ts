import { Tally } from './figures.ts';

/** A stretch of the dump that is done with as a whole: its end is a place to go on from. */
export class Part {
  /** The database that its keys belong to, and that is selected behind it. */
  readonly db: number;
  /** Offset in the dump behind its last record. */
  to: number;
  readonly tally = new Tally();
  done = false;
  /** How long the list of names was when its answers were there; -1 before. */
  namesAt = -1;

  constructor(db: number, to: number) {
    this.db = db;
    this.to = to;
  }
}

/** One key whose value is too long to be held: it is read again from the file while it is sent. */
export class LongValue extends Part {
  readonly key: Buffer;
  readonly record: LongRecord;

  constructor(db: number, to: number, key: Buffer, record: LongRecord) {
    super(db, to);
    this.key = key;
    this.record = record;
  }
}

export interface LongRecord {
  /** Offset of the record. */
  readonly start: number;
  /** -1: none. Else what modules keep beside the key is [metaAt, typeAt). */
  readonly metaAt: number;
  readonly typeAt: number;
  readonly typeCode: number;
  readonly valueStart: number;
  readonly end: number;
  /** As it is to be; -1: never. */
  readonly expireAtMs: number;
  readonly idleSeconds: number;
  readonly frequency: number;
}

/** A function library's source. */
export class Library extends Part {
  readonly code: Buffer;

  constructor(db: number, to: number, code: Buffer) {
    super(db, to);
    this.code = code;
  }
}
