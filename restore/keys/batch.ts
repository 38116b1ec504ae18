import { Part } from './part.ts';
import type { Slot } from './work-memory.ts';

/** Commands for keys of one database, from one stretch of the dump. */
export abstract class Batch extends Part {
  readonly slot: Slot;
  /** The commands are the memory's bytes [start, end). */
  start: number;
  end: number;
  keys = 0;
  /** The keys that were there already, by their number. */
  readonly busy: number[] = [];
  /** The server refused one of its keys. */
  refused = false;

  constructor(slot: Slot, db: number) {
    super(db, -1);
    this.slot = slot;
    this.start = slot.at;
    this.end = slot.at;
  }

  /** Bytes that may still be added. */
  abstract get room(): number;

  /** The value of the key `number` as DUMP writes it, without footer. */
  abstract body(bytes: Uint8Array, number: number): Uint8Array;

  /** Commands that put the keys `numbers` (ascending) over what is there. The others may be gone then. */
  abstract replacing(bytes: Uint8Array, numbers: readonly number[]): Uint8Array;

  /** Behind the beginning of its last record: what has to be announced before it is sent. */
  get reaches(): number {
    return this.keys === 0 ? -1 : this.slot.recordAt[this.keys - 1]! + 1;
  }

  key(bytes: Uint8Array, number: number): Buffer {
    const at = this.slot.keyAt[number]!;
    return Buffer.from(bytes.subarray(at, at + this.slot.keyLength[number]!));
  }
}
