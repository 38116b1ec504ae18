import type { RdbEntry } from '../../rdb/entry.ts';
import type { PieceTarget } from '../../rdb/string-reader.ts';
import { Batch, nxArgument } from './batch.ts';
import type { DumpTape } from './dump-tape.ts';
import type { DumpWriter, DumpWriterOptions } from './dump-writer.ts';
import { expiryToPut } from './expiry-rule.ts';
import { Library, LongValue, Part } from './part.ts';
import { slotKeys, type WorkMemory } from './work-memory.ts';

/** A longer value, or one with a longer key, goes on its own. */
const longestBody = 192 * 1024;
const longestKey = 16 * 1024;
/** Beside key and body: the command's words and lengths, expiry, idle time, footer. */
const mostFraming = 256;
/** So many keys that are left out end a batch, so that the place to go on from moves with them. */
const mostSkipped = 50_000;
/** RDB version and CRC-64 (rdb.h, createDumpPayload in cluster.c). */
export const footerBytes = 10;

export interface SliceOptions extends DumpWriterOptions {
  /** RDB version of the payloads' footers. */
  readonly payloadVersion: number;
}

type Skipped = 'expired' | 'notSelected' | undefined;

/**
 * Cuts each key out of the dump as it is walked and writes the command that puts it: a RESTORE; for a string that stands
 * in the dump as it is, a SET … NX, which means the same and spares the server a payload and its checksum.
 */
export class SliceWriter implements DumpWriter {
  readonly #memory: WorkMemory;
  readonly #tape: DumpTape;
  readonly #options: SliceOptions;
  readonly #bytes: Uint8Array;
  readonly #batchKeys: number;
  #batch: Batch | undefined;
  /** Counts keys that are left out while there is no batch for the others. */
  #leftOut: Part | undefined;
  #db: number;
  #skipped: Skipped;
  #skippedInPart = 0;
  #longKey: Buffer | undefined;
  #expireAtMs = -1;
  #at = 0;
  #commandAt = 0;
  #keyAt = 0;
  #keyLength = 0;
  /** The head that was written is that of a SET. */
  #set = false;
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

  key(entry: RdbEntry): null {
    this.#inKey = true;
    this.keepFrom = entry.metaAt >= 0 ? entry.metaAt : entry.valueStart;
    const { keyBytes, keyStart, keyEnd } = entry;
    this.#longKey = undefined;
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
    if (keyEnd - keyStart > longestKey || !this.#writeHead(entry)) this.#longKey = entry.copyKey();
    return null;
  }

  keyEnd(entry: RdbEntry): void {
    this.#inKey = false;
    this.keepFrom = entry.end;
    if (this.#skipped !== undefined) {
      this.#leaveOut(entry, this.#skipped);
      return;
    }
    const { metaAt, typeAt, valueStart, end } = entry;
    const meta = metaAt >= 0 ? typeAt - metaAt : 0;
    const body = meta + 1 + end - valueStart;
    if (this.#longKey !== undefined || body > longestBody || !this.#tape.reaches(metaAt >= 0 ? metaAt : valueStart)) {
      this.#longValue(entry);
      return;
    }
    const batch = this.#roomFor(entry.db, body);
    if (batch === undefined) {
      this.#longValue(entry);
      return;
    }
    if (this.#set && this.#endSet(entry, batch)) return;
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
    this.#ended(entry, batch, writeOptions(bytes, at + 2, this.#expireAtMs, entry));
  }

  /** Its command goes up to `at`. */
  #ended(entry: RdbEntry, batch: Batch, at: number): void {
    const { slot, keys } = batch;
    slot.commandAt[keys] = this.#commandAt;
    slot.commandAt[keys + 1] = at;
    slot.keyAt[keys] = this.#keyAt;
    slot.keyLength[keys] = this.#keyLength;
    slot.recordAt[keys] = entry.start;
    slot.expireAtMs[keys] = this.#expireAtMs;
    batch.end = at;
    batch.keys = keys + 1;
    batch.to = entry.end;
    if (batch.keys === this.#batchKeys) this.flush();
  }

  /** Writes the rest of a SET; a value that does not stand there as it is makes the head that of a RESTORE. */
  #endSet(entry: RdbEntry, batch: Batch): boolean {
    const bytes = this.#bytes;
    const from = this.#tape.position(entry.valueStart);
    const length = entry.end - entry.valueStart;
    // The two upper bits of a length say how it is written (rdb.h, RDB_6BITLEN …); numbers and LZF stand in the fourth way.
    const kind = bytes[from]! >> 6;
    const prefix = kind === 0 ? 1 : kind === 1 ? 2 : bytes[from] === 0x80 ? 5 : 0;
    if (prefix === 0) {
      this.#becomeRestore();
      return false;
    }
    const value = length - prefix;
    let at = this.#at;
    bytes[at] = 0x24;
    at = writeDecimal(bytes, at + 1, value);
    bytes[at] = 0x0d;
    bytes[at + 1] = 0x0a;
    at += 2;
    batch.slot.bodyAt[batch.keys] = at;
    batch.slot.bodyLength[batch.keys] = value;
    const valueAt = from + prefix;
    if (value < 48) for (let i = 0; i < value; i++) bytes[at + i] = bytes[valueAt + i]!;
    else bytes.copyWithin(at, valueAt, valueAt + value);
    at += value;
    bytes[at] = 0x0d;
    bytes[at + 1] = 0x0a;
    at += 2;
    if (this.#expireAtMs !== -1) {
      for (let i = 0; i < pxAt.length; i++) bytes[at + i] = pxAt[i]!;
      at = writeDecimal(bytes, at + pxAt.length, decimalDigits(this.#expireAtMs));
      bytes[at] = 0x0d;
      bytes[at + 1] = 0x0a;
      at = writeDecimal(bytes, at + 2, this.#expireAtMs);
      bytes[at] = 0x0d;
      bytes[at + 1] = 0x0a;
      at += 2;
    }
    for (let i = 0; i < nxArgument.length; i++) bytes[at + i] = nxArgument[i]!;
    this.#ended(entry, batch, at + nxArgument.length);
    return true;
  }

  /** Of the SET whose head was written a RESTORE. */
  #becomeRestore(): void {
    const bytes = this.#bytes;
    const longer = restoreWord.length - setWord.length;
    const from = this.#commandAt + 2;
    bytes.copyWithin(from + restoreWord.length, from + setWord.length, this.#at);
    bytes.set(restoreWord, from);
    if (this.#expireAtMs !== -1) bytes[this.#commandAt + 1]!--;
    this.#keyAt += longer;
    this.#set = false;
    this.#at = writeTtl(bytes, this.#at - 2 + longer, this.#expireAtMs);
  }

  /** What may be forgotten between two blocks: nothing of a key whose value is being read. */
  forget(offset: number): void {
    if (!this.#inKey && offset > this.keepFrom) this.keepFrom = offset;
  }

  /** Hands over what is ready. */
  flush(): void {
    const part = this.#batch ?? this.#leftOut;
    this.#batch = undefined;
    this.#leftOut = undefined;
    this.#skippedInPart = 0;
    if (part !== undefined) this.#options.onPart(part);
  }

  #leaveOut(entry: RdbEntry, why: 'expired' | 'notSelected'): void {
    let part = this.#batch ?? this.#leftOut;
    if (part === undefined || part.db !== entry.db) {
      this.flush();
      part = this.#leftOut = new Part(entry.db, -1);
    }
    part.tally[why]++;
    part.to = entry.end;
    if (++this.#skippedInPart >= mostSkipped) this.flush();
  }

  /** A batch for keys of the database; undefined where no memory is free for another one. */
  #open(db: number): Batch | undefined {
    const batch = this.#batch;
    if (batch !== undefined && batch.db === db) return batch;
    this.flush();
    const slot = this.#memory.take();
    return slot === undefined ? undefined : (this.#batch = new Batch(slot, db, -1));
  }

  /** Writes the command up to its payload's length, into a batch that has room for it; false where there is none. */
  #writeHead(entry: RdbEntry): boolean {
    const length = entry.keyEnd - entry.keyStart;
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
    // How long or how often a key was used, and what modules keep beside it, only RESTORE can say.
    this.#set = entry.typeCode === 0 && hint === 0 && entry.metaAt < 0;
    const word = this.#set ? setWord : restoreWord;
    bytes[at] = 0x2a;
    // Without an expiry both have four arguments; with one, RESTORE has one more for ABSTTL and SET two for PXAT.
    bytes[at + 1] = 0x34 + hint + (this.#expireAtMs === -1 ? 0 : this.#set ? 2 : 1);
    at += 2;
    for (let i = 0; i < word.length; i++) bytes[at + i] = word[i]!;
    at = writeDecimal(bytes, at + word.length, length);
    bytes[at] = 0x0d;
    bytes[at + 1] = 0x0a;
    at += 2;
    this.#keyAt = at;
    this.#keyLength = length;
    const { keyBytes, keyStart, keyEnd } = entry;
    if (length < 48) for (let i = 0; i < length; i++) bytes[at + i] = keyBytes[keyStart + i]!;
    else bytes.set(keyBytes.subarray(keyStart, keyEnd), at);
    at += length;
    if (this.#set) {
      bytes[at] = 0x0d;
      bytes[at + 1] = 0x0a;
      this.#at = at + 2;
    } else this.#at = writeTtl(bytes, at, this.#expireAtMs);
    return true;
  }

  /** The batch with the head that was written, or another one to which the head has moved; undefined for neither. */
  #roomFor(db: number, body: number): Batch | undefined {
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
const setWord = Buffer.from('\r\n$3\r\nSET\r\n$');
const pxAt = Buffer.from('$4\r\nPXAT\r\n$');
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

function decimalDigits(value: number): number {
  let digits = 1;
  for (let limit = 10; value >= limit; limit *= 10) digits++;
  return digits;
}

/** Writes a whole number from 0 on; answers where it ends. */
export function writeDecimal(bytes: Uint8Array, at: number, value: number): number {
  const end = at + decimalDigits(value);
  let rest = value;
  for (let i = end - 1; i >= at; i--) {
    const tens = Math.floor(rest / 10);
    bytes[i] = 0x30 + (rest - tens * 10);
    rest = tens;
  }
  return end;
}
