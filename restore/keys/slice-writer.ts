import type { RdbEntry } from '../../rdb/entry.ts';
import type { PieceTarget } from '../../rdb/string-reader.ts';
import type { ValueSink } from '../../rdb/value-sink.ts';
import type { DumpTape } from './dump-tape.ts';
import type { DumpWriter, DumpWriterOptions } from './dump-writer.ts';
import { expiryToPut } from './expiry-rule.ts';
import { Library, LongValue, Part } from './part.ts';
import { RestoreBatch } from './restore-batch.ts';
import { StringBatch } from './string-batch.ts';
import { WholeString } from './whole-string.ts';
import { slotKeys, type WorkMemory } from './work-memory.ts';
import { decimalDigits, writeDecimal } from './write-decimal.ts';

/** A longer value, or one with a longer key, goes on its own. */
const longestBody = 192 * 1024;
const longestKey = 16 * 1024;
/** A longer string goes as it stands in the dump, where it may be compressed. */
const longestTogether = 4096;
/** Beside key and body: the command's words and lengths, expiry, idle time, footer. */
const mostFraming = 256;
/** So many keys that are left out end a batch, so that the place to go on from moves with them. */
const mostSkipped = 50_000;
/** RDB version and CRC-64 (rdb.h, createDumpPayload in cluster.c). */
export const footerBytes = 10;

export interface SliceOptions extends DumpWriterOptions {
  /** RDB version of the payloads' footers. */
  readonly payloadVersion: number;
  /** Whether strings may still go many to a command: it is asked for each. */
  readonly stringsTogether: () => boolean;
}

type Skipped = 'expired' | 'notSelected' | undefined;

/**
 * Cuts each key out of the dump as it is walked and writes the command that puts it: a RESTORE; strings without an expiry
 * go many to a command. Both kinds fill a batch of their own, and are handed over together: a place to go on from is
 * behind all keys of a stretch.
 */
export class SliceWriter implements DumpWriter {
  readonly #memory: WorkMemory;
  readonly #tape: DumpTape;
  readonly #options: SliceOptions;
  readonly #bytes: Uint8Array;
  readonly #batchKeys: number;
  #batch: RestoreBatch | undefined;
  #strings: StringBatch | undefined;
  /** Counts keys that are left out while there is no batch for the others. */
  #leftOut: Part | undefined;
  /** Keys in both batches. */
  #keys = 0;
  /** Offset behind the last record. */
  #to: number;
  #db: number;
  #skipped: Skipped;
  #skippedInPart = 0;
  #longKey: Buffer | undefined;
  #expireAtMs = -1;
  #at = 0;
  #commandAt = 0;
  #keyAt = 0;
  #keyLength = 0;
  #recordAt = 0;
  /** The key at hand was begun there; its value, too, where it is `#isAdded`. */
  #begun: StringBatch | undefined;
  #isAdded = false;
  readonly #value = new WholeString((bytes, start, end) => this.#addString(bytes, start, end));
  #inKey = false;
  /** Bytes of the dump from here on may still be needed. */
  keepFrom: number;
  #code: Buffer[] = [];

  constructor(memory: WorkMemory, tape: DumpTape, start: { db: number; offset: number }, options: SliceOptions) {
    this.#memory = memory;
    this.#tape = tape;
    this.#options = options;
    this.#bytes = memory.bytes;
    this.#batchKeys = Math.min(slotKeys, options.batchKeys);
    this.#db = start.db;
    this.keepFrom = start.offset;
    this.#to = start.offset;
  }

  selectDb(db: number): void {
    this.#db = db;
  }

  functionCode(): PieceTarget | null {
    if (!this.#options.functions) return null;
    this.#code = [];
    return { piece: (bytes, start, end) => void this.#code.push(Buffer.from(bytes.subarray(start, end))) };
  }

  functionEnd(): void {
    if (!this.#options.functions) return;
    this.flush();
    // The place behind it is not known here: whoever goes on before the first key finds it again.
    this.#options.onPart(new Library(this.#db, -1, Buffer.concat(this.#code)));
    this.#code = [];
  }

  key(entry: RdbEntry): ValueSink | null {
    this.#inKey = true;
    this.keepFrom = entry.metaAt >= 0 ? entry.metaAt : entry.valueStart;
    const { keyBytes, keyStart, keyEnd } = entry;
    this.#longKey = undefined;
    this.#begun = undefined;
    this.#isAdded = false;
    if (!this.#options.selector.has(entry.db, keyBytes, keyStart, keyEnd)) {
      this.#skipped = 'notSelected';
      return null;
    }
    const expireAtMs = expiryToPut(entry.expireAtMs, this.#options.ttl, this.#options.shiftMs);
    if (expireAtMs !== -1 && expireAtMs <= this.#options.nowMs()) {
      this.#skipped = 'expired';
      return null;
    }
    this.#skipped = undefined;
    this.#expireAtMs = expireAtMs;
    const short = keyEnd - keyStart <= longestKey;
    if (short && this.#beginString(entry)) return this.#value;
    if (!short || !this.#writeHead(entry, keyBytes, keyStart, keyEnd)) this.#longKey = entry.copyKey();
    return null;
  }

  keyEnd(entry: RdbEntry): void {
    this.#inKey = false;
    this.keepFrom = entry.end;
    if (this.#skipped !== undefined) {
      this.#leaveOut(entry, this.#skipped);
      return;
    }
    if (this.#isAdded) {
      this.#added(entry);
      return;
    }
    const { metaAt, typeAt, valueStart, end } = entry;
    const meta = metaAt >= 0 ? typeAt - metaAt : 0;
    const body = meta + 1 + end - valueStart;
    if (this.#longKey !== undefined || body > longestBody || !this.#tape.reaches(metaAt >= 0 ? metaAt : valueStart)) {
      this.#longValue(entry);
      return;
    }
    const inBatch =
      this.#begun === undefined || this.#writeHead(entry, this.#bytes, this.#keyAt, this.#keyAt + this.#keyLength);
    const batch = inBatch ? this.#roomFor(entry.db, body) : undefined;
    if (batch === undefined) {
      this.#longValue(entry);
      return;
    }
    const bytes = this.#bytes;
    const { slot, keys } = batch;
    let at = this.#at;
    bytes[at] = 0x24;
    at = writeDecimal(bytes, at + 1, body + footerBytes);
    bytes[at] = 0x0d;
    bytes[at + 1] = 0x0a;
    const bodyAt = at + 2;
    at = bodyAt;
    if (meta > 0) {
      const from = this.#tape.position(metaAt);
      bytes.copyWithin(at, from, from + meta);
      at += meta;
    }
    bytes[at++] = entry.typeCode;
    const from = this.#tape.position(valueStart);
    const length = end - valueStart;
    if (length < 48) for (let i = 0; i < length; i++) bytes[at + i] = bytes[from + i]!;
    else bytes.copyWithin(at, from, from + length);
    at += length;
    slot.bodyAt[keys] = bodyAt;
    slot.bodyLength[keys] = at - bodyAt;
    const version = this.#options.payloadVersion;
    bytes[at] = version & 0xff;
    bytes[at + 1] = version >> 8;
    at += 2;
    this.#memory.view.setBigInt64(at, this.#memory.crc(0n, bodyAt, at), true);
    at += 8;
    bytes[at] = 0x0d;
    bytes[at + 1] = 0x0a;
    at = writeOptions(bytes, at + 2, this.#expireAtMs, entry);
    slot.commandAt[keys] = this.#commandAt;
    slot.commandAt[keys + 1] = at;
    slot.keyAt[keys] = this.#keyAt;
    slot.keyLength[keys] = this.#keyLength;
    slot.recordAt[keys] = entry.start;
    slot.expireAtMs[keys] = this.#expireAtMs;
    batch.end = at;
    batch.keys = keys + 1;
    this.#added(entry);
  }

  #added(entry: RdbEntry): void {
    this.#to = entry.end;
    if (++this.#keys === this.#batchKeys) this.flush();
  }

  /** Writes the key behind other strings; false where it has to go on its own. */
  #beginString(entry: RdbEntry): boolean {
    // How long or how often a key was used, and what modules keep beside it, only RESTORE can say.
    const plain = entry.typeCode === 0 && entry.metaAt < 0 && entry.idleSeconds < 0 && entry.frequency < 0;
    if (!plain || this.#expireAtMs !== -1 || !this.#options.stringsTogether()) return false;
    const { db, keyBytes, keyStart, keyEnd } = entry;
    const strings = this.#openStrings(db, keyEnd - keyStart + mostFraming);
    if (strings === undefined) return false;
    strings.begin(this.#bytes, keyBytes, keyStart, keyEnd);
    this.#keyAt = strings.slot.keyAt[strings.keys]!;
    this.#keyLength = keyEnd - keyStart;
    this.#recordAt = entry.start;
    this.#begun = strings;
    return true;
  }

  /** A whole value; a longer one is left for a RESTORE. */
  #addString(value: Uint8Array, start: number, end: number): void {
    if (end - start > longestTogether) return;
    const bytes = this.#bytes;
    let strings = this.#begun!;
    if (strings.room < end - start + mostFraming) {
      const key = bytes.slice(this.#keyAt, this.#keyAt + this.#keyLength);
      const next = this.#openStrings(strings.db, key.length + end - start + mostFraming);
      if (next === undefined) return;
      next.begin(bytes, key, 0, key.length);
      strings = next;
    }
    strings.add(bytes, value, start, end, this.#recordAt);
    this.#isAdded = true;
  }

  /** A batch for strings of the database with so much room; undefined where no memory is free for another one. */
  #openStrings(db: number, room: number): StringBatch | undefined {
    const strings = this.#inDb(db).#strings;
    if (strings !== undefined && strings.room >= room) return strings;
    if (strings !== undefined) this.flush();
    const slot = this.#memory.take();
    return slot && (this.#strings = new StringBatch(slot, db, this.#options.payloadVersion));
  }

  /** What is open is of that database, or handed over. */
  #inDb(db: number): this {
    const open = this.#batch ?? this.#strings;
    if (this.#leftOut !== undefined || (open !== undefined && open.db !== db)) this.flush();
    return this;
  }

  /** What may be forgotten between two blocks: nothing of a key whose value is being read. */
  forget(offset: number): void {
    if (!this.#inKey && offset > this.keepFrom) this.keepFrom = offset;
  }

  /** Hands over what is ready. */
  flush(): void {
    const parts: Part[] = [];
    if (this.#strings !== undefined) {
      this.#strings.close(this.#bytes);
      parts.push(this.#strings);
    }
    if (this.#batch !== undefined) parts.push(this.#batch);
    else if (this.#leftOut !== undefined) parts.push(this.#leftOut);
    this.#strings = undefined;
    this.#batch = undefined;
    this.#leftOut = undefined;
    this.#keys = 0;
    this.#skippedInPart = 0;
    const last = parts.at(-1);
    if (last === undefined) return;
    // Those before have keys from all over the stretch, and no place of their own to go on from.
    last.to = this.#to;
    for (const part of parts) this.#options.onPart(part);
  }

  #leaveOut(entry: RdbEntry, why: 'expired' | 'notSelected'): void {
    let part = this.#batch ?? this.#strings ?? this.#leftOut;
    if (part === undefined || part.db !== entry.db) {
      this.flush();
      part = this.#leftOut = new Part(entry.db, -1);
    }
    part.tally[why]++;
    this.#to = entry.end;
    if (++this.#skippedInPart >= mostSkipped) this.flush();
  }

  /** A batch for keys of the database; undefined where no memory is free for another one. */
  #open(db: number): RestoreBatch | undefined {
    const batch = this.#inDb(db).#batch;
    if (batch !== undefined) return batch;
    const slot = this.#memory.take();
    return slot && (this.#batch = new RestoreBatch(slot, db));
  }

  /** Writes the command up to its payload's length, into a batch that has room for it; false where there is none. */
  #writeHead(entry: RdbEntry, keyBytes: Uint8Array, keyStart: number, keyEnd: number): boolean {
    const length = keyEnd - keyStart;
    let batch = this.#open(entry.db);
    if (batch !== undefined && batch.room < length + mostFraming) {
      this.flush();
      batch = this.#open(entry.db);
    }
    if (batch === undefined) return false;
    const bytes = this.#bytes;
    let at = batch.end;
    this.#commandAt = at;
    const hint = entry.idleSeconds >= 0 || entry.frequency >= 0 ? 2 : 0;
    bytes[at] = 0x2a;
    bytes[at + 1] = 0x34 + hint + (this.#expireAtMs === -1 ? 0 : 1);
    at += 2;
    for (let i = 0; i < restoreWord.length; i++) bytes[at + i] = restoreWord[i]!;
    at = writeDecimal(bytes, at + restoreWord.length, length);
    bytes[at] = 0x0d;
    bytes[at + 1] = 0x0a;
    at += 2;
    this.#keyAt = at;
    this.#keyLength = length;
    if (length < 48) for (let i = 0; i < length; i++) bytes[at + i] = keyBytes[keyStart + i]!;
    else bytes.set(keyBytes.subarray(keyStart, keyEnd), at);
    at += length;
    this.#at = writeTtl(bytes, at, this.#expireAtMs);
    return true;
  }

  /** The batch with the head that was written, or another one to which the head has moved; undefined for neither. */
  #roomFor(db: number, body: number): RestoreBatch | undefined {
    const batch = this.#batch!;
    if (batch.room - (this.#at - batch.end) >= body + mostFraming) return batch;
    if (this.#memory.freeSlots === 0) return undefined;
    const head = this.#at - this.#commandAt;
    this.flush();
    const next = this.#open(db)!;
    this.#bytes.copyWithin(next.slot.at, this.#commandAt, this.#at);
    const moved = next.slot.at - this.#commandAt;
    this.#commandAt += moved;
    this.#keyAt += moved;
    this.#at = this.#commandAt + head;
    return next;
  }

  #longValue(entry: RdbEntry): void {
    const { db, start, metaAt, typeAt, typeCode, valueStart, end, idleSeconds, frequency } = entry;
    const key = this.#longKey ?? Buffer.from(this.#bytes.slice(this.#keyAt, this.#keyAt + this.#keyLength));
    this.#longKey = undefined;
    this.flush();
    this.#options.onPart(
      new LongValue(db, end, key, {
        start,
        metaAt,
        typeAt,
        typeCode,
        valueStart,
        end,
        expireAtMs: this.#expireAtMs,
        idleSeconds,
        frequency,
      }),
    );
  }
}

const restoreWord = Buffer.from('\r\n$7\r\nRESTORE\r\n$');
const absTtl = Buffer.from('$6\r\nABSTTL\r\n');
const idleTime = Buffer.from('$8\r\nIDLETIME\r\n$');
const freq = Buffer.from('$4\r\nFREQ\r\n$');

/** Behind the key: its expiry as RESTORE takes it, 0 for none, up to the `$` of the payload's length. */
export function writeTtl(bytes: Uint8Array, start: number, expireAtMs: number): number {
  let at = start;
  bytes[at] = 0x0d;
  bytes[at + 1] = 0x0a;
  bytes[at + 2] = 0x24;
  at += 3;
  const ttl = expireAtMs === -1 ? 0 : expireAtMs;
  at = writeDecimal(bytes, at, decimalDigits(ttl));
  bytes[at] = 0x0d;
  bytes[at + 1] = 0x0a;
  at = writeDecimal(bytes, at + 2, ttl);
  bytes[at] = 0x0d;
  bytes[at + 1] = 0x0a;
  return at + 2;
}

/** Behind the payload: that the expiry is a time, and how long or how often the key was used, where the dump has it. */
export function writeOptions(
  bytes: Uint8Array,
  start: number,
  expireAtMs: number,
  hints: { readonly idleSeconds: number; readonly frequency: number },
): number {
  let at = start;
  if (expireAtMs !== -1) {
    for (let i = 0; i < absTtl.length; i++) bytes[at + i] = absTtl[i]!;
    at += absTtl.length;
  }
  // A server keeps one of the two.
  const word = hints.idleSeconds >= 0 ? idleTime : hints.frequency >= 0 ? freq : undefined;
  if (word === undefined) return at;
  const value = word === idleTime ? hints.idleSeconds : hints.frequency;
  bytes.set(word, at);
  at = writeDecimal(bytes, at + word.length, decimalDigits(value));
  bytes[at] = 0x0d;
  bytes[at + 1] = 0x0a;
  at = writeDecimal(bytes, at + 2, value);
  bytes[at] = 0x0d;
  bytes[at + 1] = 0x0a;
  return at + 2;
}
