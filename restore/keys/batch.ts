import { Part } from './part.ts';
import { type Slot, slotBytes } from './work-memory.ts';

/** `$7\r\nREPLACE\r\n`: every command leaves room for it. */
export const replaceBytes = 13;

/** The last argument of a SET: it puts nothing over a live key, and answers nil. */
export const nxArgument = Buffer.from('$2\r\nNX\r\n');

/** RESTORE and SET commands for keys of one database that follow one another in the dump. */
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

  /** The value of the key `number` as DUMP writes it, without footer. */
  body(bytes: Uint8Array, number: number): Uint8Array {
    const { commandAt, bodyAt, bodyLength } = this.slot;
    const body = bytes.subarray(bodyAt[number]!, bodyAt[number]! + bodyLength[number]!);
    return isSet(bytes, commandAt[number]!) ? Buffer.concat([stringHead(body.length), body]) : body;
  }

  /**
   * Makes of the commands of the keys `numbers` (ascending) commands that replace what is there; the others are gone.
   * A RESTORE gets a REPLACE, a SET loses its NX.
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
      // No command has more than eight arguments, or fewer than four: `*4` becomes `*5`, or `*3`.
      if (isSet(bytes, from)) {
        const kept = length - nxArgument.length;
        to -= kept;
        bytes.copyWithin(to, from, from + kept);
        bytes[to + 1]!--;
      } else {
        to -= length + replaceBytes;
        bytes.copyWithin(to, from, from + length);
        bytes.set(replaceArgument, to + length);
        bytes[to + 1]!++;
      }
    }
    this.start = to;
  }
}

/** Whether the command that begins here is a SET and not a RESTORE: by the length of its name. */
const isSet = (bytes: Uint8Array, at: number): boolean => bytes[at + 5] === 0x33;

/** Type byte and length of a string, as they stand in a dump (rdb.c, rdbSaveLen). */
function stringHead(length: number): Buffer {
  if (length < 1 << 6) return Buffer.from([0, length]);
  if (length < 1 << 14) return Buffer.from([0, 0x40 | (length >> 8), length & 0xff]);
  const head = Buffer.from([0, 0x80, 0, 0, 0, 0]);
  head.writeUInt32BE(length, 2);
  return head;
}

const replaceArgument = Buffer.from('$7\r\nREPLACE\r\n');
