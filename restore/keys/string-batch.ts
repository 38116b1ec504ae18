import { Crc64 } from '../../rdb/crc64.ts';
import { Batch } from './batch.ts';
import { command } from './pipeline.ts';
import { type Slot, slotBytes } from './work-memory.ts';
import { decimalDigits, writeDecimal } from './write-decimal.ts';

/** Keys of one command at most: with more the server hardly gains. */
const groupKeys = 64;
/** A command with so many bytes gets no more keys: the server does nothing else meanwhile. */
const groupBytes = 16 * 1024;
const msetnx = Buffer.from('\r\n$6\r\nMSETNX\r\n');
/** `*129` and the command's name. */
const longestHead = 4 + msetnx.length;

/**
 * Strings without an expiry, many to a command: MSETNX puts all of its keys, or none where one is there already. The server
 * takes them in half the time of a RESTORE each. Of those that were not put each is sent again on its own.
 */
export class StringBatch extends Batch {
  readonly #payloadVersion: number;
  /** Number of the first key of each command. */
  readonly #firstOf: number[] = [];
  #open = false;
  #headAt = 0;

  constructor(slot: Slot, db: number, payloadVersion: number) {
    super(slot, db);
    this.#payloadVersion = payloadVersion;
  }

  /** Commands, each with its answer. */
  get commands(): number {
    return this.#firstOf.length;
  }

  get room(): number {
    return this.slot.at + slotBytes - this.end - longestHead;
  }

  /** Writes a key behind what is there; it counts when its value comes. */
  begin(bytes: Uint8Array, keyBytes: Uint8Array, keyStart: number, keyEnd: number): void {
    let at = this.#open ? this.end : this.end + longestHead;
    const { slot, keys } = this;
    at = writeLength(bytes, at, keyEnd - keyStart);
    slot.keyAt[keys] = at;
    slot.keyLength[keys] = keyEnd - keyStart;
    slot.bodyAt[keys] = copied(bytes, at, keyBytes, keyStart, keyEnd);
  }

  /** The value of the key that was begun, from wherever it stands. */
  add(bytes: Uint8Array, valueBytes: Uint8Array, valueStart: number, valueEnd: number, recordAt: number): void {
    const { slot, keys } = this;
    if (!this.#open) {
      this.#open = true;
      this.#headAt = this.end;
      this.#firstOf.push(keys);
    }
    const at = writeLength(bytes, slot.bodyAt[keys]!, valueEnd - valueStart);
    slot.bodyAt[keys] = at;
    slot.bodyLength[keys] = valueEnd - valueStart;
    slot.recordAt[keys] = recordAt;
    slot.expireAtMs[keys] = -1;
    this.end = copied(bytes, at, valueBytes, valueStart, valueEnd);
    this.keys++;
    if (this.keys - this.#firstOf.at(-1)! === groupKeys || this.end - this.#headAt > groupBytes) this.close(bytes);
  }

  /** Ends the command that is open. Its head's length depends on its keys: they move up to it. */
  close(bytes: Uint8Array): void {
    if (!this.#open) return;
    this.#open = false;
    const first = this.#firstOf.at(-1)!;
    const count = 1 + 2 * (this.keys - first);
    const digits = decimalDigits(count);
    const pairsAt = this.#headAt + longestHead;
    const less = longestHead - 1 - digits - msetnx.length;
    bytes[this.#headAt] = 0x2a;
    const at = writeDecimal(bytes, this.#headAt + 1, count);
    bytes.set(msetnx, at);
    if (less === 0) return;
    bytes.copyWithin(pairsAt - less, pairsAt, this.end);
    this.end -= less;
    const { keyAt, bodyAt } = this.slot;
    for (let number = first; number < this.keys; number++) {
      keyAt[number]! -= less;
      bodyAt[number]! -= less;
    }
  }

  body(bytes: Uint8Array, number: number): Uint8Array {
    const { bodyAt, bodyLength } = this.slot;
    const value = bytes.subarray(bodyAt[number]!, bodyAt[number]! + bodyLength[number]!);
    return Buffer.concat([stringHead(value.length), value]);
  }

  replacing(bytes: Uint8Array, numbers: readonly number[]): Uint8Array {
    return Buffer.concat(numbers.map((number) => this.#restore(bytes, number, 'REPLACE')));
  }

  /** The numbers of the keys of some commands, and commands that put each of them on its own. */
  oneByOne(bytes: Uint8Array, commands: readonly number[]): { numbers: number[]; bytes: Buffer } {
    const numbers = commands.flatMap((each) => {
      const [first, next] = [this.#firstOf[each]!, this.#firstOf[each + 1] ?? this.keys];
      return Array.from({ length: next - first }, (_, i) => first + i);
    });
    return { numbers, bytes: Buffer.concat(numbers.map((number) => this.#restore(bytes, number))) };
  }

  #restore(bytes: Uint8Array, number: number, ...more: string[]): Buffer {
    const version = Buffer.from([this.#payloadVersion & 0xff, this.#payloadVersion >> 8]);
    const payload = Buffer.concat([this.body(bytes, number), version]);
    const crc = new Crc64();
    crc.update(payload);
    const sum = Buffer.alloc(8);
    sum.writeBigUInt64LE(crc.value);
    return command('RESTORE', this.key(bytes, number), '0', Buffer.concat([payload, sum]), ...more);
  }
}

/** `$11\r\n` */
function writeLength(bytes: Uint8Array, start: number, length: number): number {
  bytes[start] = 0x24;
  const at = writeDecimal(bytes, start + 1, length);
  bytes[at] = 0x0d;
  bytes[at + 1] = 0x0a;
  return at + 2;
}

/** Copies an argument and ends it; answers where the next begins. For a few bytes a loop is quicker than a call. */
function copied(bytes: Uint8Array, at: number, from: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length < 48) for (let i = 0; i < length; i++) bytes[at + i] = from[start + i]!;
  else if (from === bytes) bytes.copyWithin(at, start, end);
  else bytes.set(from.subarray(start, end), at);
  bytes[at + length] = 0x0d;
  bytes[at + length + 1] = 0x0a;
  return at + length + 2;
}

/** Type byte and length of a string, as they stand in a dump (rdb.c, rdbSaveLen). */
function stringHead(length: number): Buffer {
  if (length < 1 << 6) return Buffer.from([0, length]);
  if (length < 1 << 14) return Buffer.from([0, 0x40 | (length >> 8), length & 0xff]);
  const head = Buffer.from([0, 0x80, 0, 0, 0, 0]);
  head.writeUInt32BE(length, 2);
  return head;
}
