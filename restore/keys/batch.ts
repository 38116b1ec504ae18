import { Part } from './part.ts';
import { type Slot, slotBytes } from './work-memory.ts';

/** `$7\r\nREPLACE\r\n`: every command leaves room for it. */
export const replaceBytes = 13;

/** RESTORE commands for keys of one database that follow one another in the dump. */
export class Batch extends Part {
  readonly slot: Slot;
  /** The commands are the memory's bytes [start, end). */
  start: number;
  end: number;
  keys = 0;
  /** The keys that were there already, by their number. */
  readonly busy: number[] = [];
  /** The server refused one of its keys. */
  refused = false;

  constructor(slot: Slot, db: number, to: number) {
    super(db, to);
    this.slot = slot;
    this.start = slot.at;
    this.end = slot.at;
  }

  /** Bytes that may still be added, with room kept for every command's REPLACE and that of one more. */
  get room(): number {
    return this.slot.at + slotBytes - this.end - (this.keys + 1) * replaceBytes;
  }

  /**
   * Makes of the commands of the keys `numbers` (ascending) commands that replace what is there; the others are gone.
   * They move to the slot's end, the last one first, so that none is written over before it was moved.
   */
  keepAsReplacing(bytes: Uint8Array, numbers: readonly number[]): void {
    const { commandAt } = this.slot;
    let to = this.slot.at + slotBytes;
    this.end = to;
    for (let i = numbers.length - 1; i >= 0; i--) {
      const number = numbers[i]!;
      const from = commandAt[number]!;
      const length = commandAt[number + 1]! - from;
      to -= length + replaceBytes;
      bytes.copyWithin(to, from, from + length);
      bytes.set(replaceArgument, to + length);
      // `*4` becomes `*5`: no command has more than eight arguments.
      bytes[to + 1]!++;
    }
    this.start = to;
  }
}

const replaceArgument = Buffer.from('$7\r\nREPLACE\r\n');
