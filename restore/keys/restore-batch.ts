import { Batch } from './batch.ts';
import { slotBytes } from './work-memory.ts';

/** `$7\r\nREPLACE\r\n`: every command leaves room for it. */
const replaceArgument = Buffer.from('$7\r\nREPLACE\r\n');

/** A RESTORE for each key. */
export class RestoreBatch extends Batch {
  /** Room is kept for every command's REPLACE and that of one more. */
  get room(): number {
    return this.slot.at + slotBytes - this.end - (this.keys + 1) * replaceArgument.length;
  }

  body(bytes: Uint8Array, number: number): Uint8Array {
    const { bodyAt, bodyLength } = this.slot;
    return bytes.subarray(bodyAt[number]!, bodyAt[number]! + bodyLength[number]!);
  }

  /** They move to the slot's end, the last one first, so that none is written over before it was moved. */
  replacing(bytes: Uint8Array, numbers: readonly number[]): Uint8Array {
    const { commandAt } = this.slot;
    let to = this.slot.at + slotBytes;
    this.end = to;
    for (let i = numbers.length - 1; i >= 0; i--) {
      const number = numbers[i]!;
      const from = commandAt[number]!;
      const length = commandAt[number + 1]! - from;
      to -= length + replaceArgument.length;
      bytes.copyWithin(to, from, from + length);
      bytes.set(replaceArgument, to + length);
      // `*4` becomes `*5`: no command has more than eight arguments.
      bytes[to + 1]!++;
    }
    this.start = to;
    return bytes.subarray(to, this.end);
  }
}
