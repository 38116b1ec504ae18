import { RewindError } from '../../errors/rewind-error.ts';
import { CollectedString } from '../../rdb/collected-string.ts';
import { Cursor, needMore } from '../../rdb/cursor.ts';
import { firstVersionWithChecksum, hasOpcode, opcode } from '../../rdb/opcodes.ts';
import { StringReader } from '../../rdb/string-reader.ts';
import { isDecoded, type RdbTypeInfo, typesOf } from '../../rdb/types.ts';
import { valueReaders } from '../../rdb/value-readers.ts';
import { ModuleValue } from '../../rdb/values/module.ts';
import type { ValueReader } from '../../rdb/values/value-reader.ts';
import { KeySet } from './key-set.ts';
import { ValueCheck } from './value-check.ts';
import type { RdbForm } from './walk-from.ts';

/** So many well-formed records in a row are no accident: each has passed a check of its type, lengths and content. */
const enoughRecords = 16;
/** Before the file's end fewer will do. */
const enoughAtTheEnd = 4;
/** The first records of a run may be a value's bytes that lead into true ones by accident. */
const readClosely = 2;
const longestKey = 64 * 1024;
const longestLibrary = 1024 * 1024;
const longestHead = 256;
/** Redis was not there before 2009, and nobody sets an expiry of five centuries. */
const firstExpiryMs = Date.UTC(2009, 0);
const lastExpiryMs = Date.UTC(2500, 0);

/**
 * `good`: records begin here, as far as can be known; `bad`: none do; `longer`: the bytes shown end before that can be
 * said.
 */
export type Probe = 'good' | 'bad' | 'longer';

/** Printable ASCII. */
export function isText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte < 0x20 || byte >= 0x7f) return false;
  }
  return true;
}

/** What a server asks of the first line of a function library (functions.c). */
export function isLibrary(bytes: Uint8Array, start: number, end: number): boolean {
  const head = Buffer.from(bytes.subarray(start, Math.min(end, start + longestHead))).toString('latin1');
  return /^#!\w+ name=\w+/.test(head);
}

/** False where a key would be too long to be looked at in one piece. Reads nothing. */
function keyFits(c: Cursor): boolean {
  const { pos } = c;
  const first = c.u8();
  let fits = true;
  if (first === 0xc3) {
    fits = c.length() <= longestKey;
    fits &&= c.length() <= longestKey;
  } else if (first >= 0x80 && first < 0xc0) fits = c.longLength(first) <= longestKey;
  c.pos = pos;
  return fits;
}

const noBytes = new Uint8Array(16);

export const plausibleExpiry = (atMs: number): boolean => atMs > firstExpiryMs && atMs < lastExpiryMs;

/** Looks whether records of a dump begin at a byte, to find them again behind damage. */
export class RecordProbe {
  readonly #form: RdbForm;
  readonly #textKeys: boolean;
  readonly #types: (RdbTypeInfo | undefined)[] = [];
  readonly #cursor = new Cursor();
  readonly #check = new ValueCheck();
  readonly #key = new CollectedString(longestKey, () => new RewindError('RDB_STRING_TOO_LONG', 'too long for a key'));
  readonly #library = new CollectedString(longestLibrary, () => new RewindError('RDB_STRING_TOO_LONG', 'no library'));
  #strings = new StringReader();
  #readers: (ValueReader | undefined)[] = [];
  readonly #begins = new Uint8Array(256);

  /** @param textKeys the dump's keys are text: bytes that are none are then no key to begin with */
  constructor(form: RdbForm, textKeys: boolean) {
    this.#form = form;
    this.#textKeys = textKeys;
    for (const [code, info] of typesOf(form.magic, form.version)) {
      this.#types[code] = info;
      this.#begins[code] = 1;
    }
    const { expireTimeMs, expireTime, idle, freq, selectDb, resizeDb, function2, eof } = opcode;
    for (const code of [expireTimeMs, expireTime, idle, freq, selectDb, resizeDb, function2, eof]) {
      if (hasOpcode(form.version, code)) this.#begins[code] = 1;
    }
    this.#renew(true);
  }

  /** False for the bytes that no record begins with. */
  mayBegin(byte: number): boolean {
    return this.#begins[byte] === 1;
  }

  /**
   * @param fileEnds the bytes end where the file ends
   * @param followed what follows the dump's end is another's (a preamble): the end may be anywhere
   */
  run(bytes: Uint8Array, at: number, to: number, fileEnds: boolean, followed: boolean): Probe {
    // Most candidates fail by their lengths alone, which costs little.
    const framed = this.#run(bytes, at, to, fileEnds, followed, false);
    return framed === 'bad' ? 'bad' : this.#run(bytes, at, to, fileEnds, followed, true);
  }

  #run(bytes: Uint8Array, at: number, to: number, fileEnds: boolean, followed: boolean, decode: boolean): Probe {
    const c = this.#cursor;
    c.show(bytes, at, to, 0);
    const seen = new KeySet();
    const enough = decode ? enoughRecords : enoughAtTheEnd;
    let records = 0;
    try {
      while (records < enough) {
        const code = c.u8();
        if (code === opcode.eof) return this.#isEnd(bytes, c.pos, to, fileEnds, followed);
        if (!this.#passOpcode(c, code)) {
          if (!this.#record(c, code, seen, decode, records < readClosely)) return 'bad';
          records++;
        }
        c.commit();
      }
      return 'good';
    } catch (error) {
      if (error === needMore) {
        this.#renew(decode);
        if (!fileEnds) return 'longer';
        return records >= enoughAtTheEnd ? 'good' : 'bad';
      }
      if (!(error instanceof RewindError)) throw error;
      if (decode) this.#renew(true);
      return 'bad';
    }
  }

  /** Where the record at `at` ends by its lengths, whatever is in it; undefined where they lead nowhere. */
  frameEnd(bytes: Uint8Array, at: number, to: number): number | undefined {
    const c = this.#cursor;
    c.show(bytes, at, to, 0);
    try {
      for (;;) {
        const code = c.u8();
        if (this.#passOpcode(c, code)) continue;
        const reader = this.#types[code] === undefined ? undefined : this.#readers[code];
        if (reader === undefined) return undefined;
        this.#strings.read(c, null);
        reader.begin(null);
        reader.run(c);
        return c.pos;
      }
    } catch (error) {
      if (error === needMore) this.#renew(false);
      else if (!(error instanceof RewindError)) throw error;
      return undefined;
    }
  }

  /** What stands before a key or between keys; throws or answers false where the code is none of these. */
  #passOpcode(c: Cursor, code: number): boolean {
    if (!hasOpcode(this.#form.version, code)) return false;
    switch (code) {
      case opcode.expireTimeMs:
        if (!plausibleExpiry(c.i64le())) throw c.corrupt('no expiry');
        return true;
      case opcode.expireTime:
        if (!plausibleExpiry(c.u32le() * 1000)) throw c.corrupt('no expiry');
        return true;
      case opcode.idle:
        c.length();
        return true;
      case opcode.freq:
        c.u8();
        return true;
      case opcode.selectDb:
        if (c.length() > 65_536) throw c.corrupt('no database');
        // Each database begins with its sizes.
        if (hasOpcode(this.#form.version, opcode.resizeDb) && c.u8() !== opcode.resizeDb) throw c.corrupt('no sizes');
        c.pos -= hasOpcode(this.#form.version, opcode.resizeDb) ? 1 : 0;
        return true;
      case opcode.resizeDb:
        c.length();
        c.length();
        return true;
      case opcode.function2: {
        this.#strings.read(c, this.#library);
        const { bytes, start, end } = this.#library;
        return isLibrary(bytes, start, end);
      }
      case opcode.slotInfo:
        c.length();
        c.length();
        c.length();
        return true;
    }
    return false;
  }

  /** An empty key, one that was just there, a value that no server writes: then it is no record. */
  #record(c: Cursor, code: number, seen: KeySet, decode: boolean, closely: boolean): boolean {
    const info = this.#types[code];
    const reader = this.#readers[code];
    if (info === undefined || reader === undefined) return false;
    if (!keyFits(c)) return false;
    this.#strings.read(c, this.#key);
    const { bytes, start, end } = this.#key;
    if (start === end || seen.add(0, bytes, start, end) === undefined) return false;
    if (closely && this.#textKeys && !isText(bytes, start, end)) return false;
    if (!decode || !isDecoded(info.type)) {
      reader.begin(null);
      reader.run(c);
      return true;
    }
    this.#check.begin(info.type, code);
    reader.begin(this.#check);
    reader.run(c);
    return this.#check.fault === undefined;
  }

  #isEnd(bytes: Uint8Array, at: number, to: number, fileEnds: boolean, followed: boolean): Probe {
    const sum = this.#form.version < firstVersionWithChecksum ? 0 : 8;
    if (to - at < sum || (to - at === sum && !fileEnds)) return fileEnds ? 'bad' : 'longer';
    if (to - at === sum) return 'good';
    const next = bytes[at + sum];
    return followed && (next === 0x2a || next === 0x23) ? 'good' : 'bad';
  }

  /** A reader that was interrupted goes on where it was: a new one begins anew. */
  #renew(decoding: boolean): void {
    if (!decoding && this.#readers.length > 0) {
      // Only the rest of a string may be left to pass over: let it be passed over.
      this.#cursor.show(noBytes, 0, Number.MAX_SAFE_INTEGER, 0);
      this.#strings.read(this.#cursor, null);
      return;
    }
    this.#strings = new StringReader();
    this.#readers = valueReaders(this.#form.magic, this.#strings, new ModuleValue(this.#strings));
  }
}
