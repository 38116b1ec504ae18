import { RewindError } from '../errors/rewind-error.ts';
import { CollectedString } from './collected-string.ts';
import { Crc64 } from './crc64.ts';
import { Cursor, needMore } from './cursor.ts';
import { RdbEntry } from './entry.ts';
import { headerBytes, newestVersion, parseHeader, type RdbMagic } from './magic.ts';
import { firstVersionWithChecksum, firstVersionWithKeyMeta, moduleOpcode, opcode } from './opcodes.ts';
import { type PieceTarget, pieceBytes, StringReader } from './string-reader.ts';
import { isDecoded, type RdbTypeInfo, typesOf, unknownTypeName } from './types.ts';
import { valueReaders } from './value-readers.ts';
import { ModuleValue, moduleTypeName } from './values/module.ts';
import type { ValueReader } from './values/value-reader.ts';
import type { RdbVisitor } from './visitor.ts';

/** Most bytes that one read takes in; what is parsed, summed and hashed then still lies in the processor's cache. */
const blockBytes = 256 * 1024;
/** What may be left of the block before: a compressed string that has to be seen whole. */
const carryBytes = 4 * pieceBytes;
/** proto-max-bulk-len: no server accepts a longer key by default. */
const longestKey = 512 * 1024 * 1024;
const longestAux = 1024 * 1024;
/** Before Redis 7, dumps carry the bodies of cached scripts as auxiliary fields: they are passed over. */
const scriptAux = 'lua';
const checksumBytes = 8;

type Phase =
  | 'header'
  | 'record'
  | 'key'
  | 'value'
  | 'aux-name'
  | 'aux-value'
  | 'function'
  | 'module-aux'
  | 'slot-import'
  | 'slot-ranges'
  | 'key-meta'
  | 'footer'
  | 'sum-only'
  | 'done';

/**
 * Walks a dump that is pushed into it block by block, in memory that does not grow with the dump: fill `room()`, then
 * `advance`. Knows the end of the dump from its content, so it also reads a dump in front of something else.
 */
export class RdbWalker {
  magic: RdbMagic = 'REDIS';
  version = 0;
  /** `disabled` until the checksum was found right. */
  crc: 'ok' | 'disabled' = 'disabled';
  readonly #visitor: RdbVisitor;
  readonly #window = new Uint8Array(blockBytes + carryBytes);
  readonly #cursor = new Cursor();
  readonly #crc = new Crc64();
  readonly #strings = new StringReader();
  readonly #module = new ModuleValue(this.#strings);
  readonly #key = new CollectedString(longestKey, (limit) => this.#tooLong('a key', limit));
  readonly #text = new CollectedString(longestAux, (limit) => this.#tooLong('an auxiliary field', limit));
  readonly #entry = new RdbEntry();
  #types: (RdbTypeInfo | undefined)[] = [];
  #readers: (ValueReader | undefined)[] = [];
  #reader!: ValueReader;
  #phase: Phase = 'header';
  #auxName = '';
  #functionCode: PieceTarget | null = null;
  #recordStart = -1;
  /** Where the string that is read as a whole begins. */
  #stringAt = 0;
  #slotRanges = 0;
  #metaLeft = 0;
  #inMeta = false;
  /** The window holds bytes [#from, #to) that are not read yet; bytes before #summed are in the checksum. */
  #from = 0;
  #to = 0;
  #base = 0;

  constructor(visitor: RdbVisitor) {
    this.#visitor = visitor;
  }

  /** True behind the dump's last byte. */
  get done(): boolean {
    return this.#phase === 'done';
  }

  /** Offset of the first byte that is not read yet; once `done` the dump's length. */
  get offset(): number {
    return this.#base + this.#from;
  }

  /** Bytes pushed so far. */
  get pushed(): number {
    return this.#base + this.#to;
  }

  /** Where to put the next bytes. Never empty before the end; what is put there is read by `advance`. */
  room(): Uint8Array {
    if (this.#from > 0) {
      this.#window.copyWithin(0, this.#from, this.#to);
      this.#base += this.#from;
      this.#to -= this.#from;
      this.#from = 0;
    }
    return this.#window.subarray(this.#to, Math.min(this.#to + blockBytes, this.#window.length));
  }

  /** Reads on, now that `room()` holds `bytes` more. */
  advance(bytes: number): void {
    this.#to += bytes;
    if (this.done) return;
    if (this.#phase === 'sum-only') {
      this.#sum(Math.max(this.#from, this.#to - checksumBytes));
      return;
    }
    const c = this.#cursor;
    c.show(this.#window, this.#from, this.#to, this.#base);
    try {
      this.#run(c);
    } catch (error) {
      if (error !== needMore) throw error;
      c.pos = c.mark;
    }
    if (!this.done && this.#phase !== 'footer') this.#sum(c.pos);
    this.#from = c.pos;
  }

  /** Throws where bytes were pushed behind the dump's end. */
  refuseTrailing(): void {
    if (!this.done || this.pushed === this.offset) return;
    throw new RewindError('RDB_TRAILING_BYTES', `bytes follow the end of the dump at byte ${this.offset}`, {
      details: { offset: this.offset },
    });
  }

  /** Gives up to understand the dump; what is pushed from now on, and what lies in the room, is only summed. */
  sumOnly(): void {
    this.#phase = 'sum-only';
    this.advance(0);
  }

  /** After `sumOnly`, when all was pushed: the last eight bytes against the CRC-64 of all before them. */
  checksumOfAll(): 'ok' | 'disabled' | 'wrong' {
    const c = this.#cursor;
    c.show(this.#window, this.#from, this.#to, this.#base);
    if (this.#to - this.#from < checksumBytes) return 'wrong';
    const written = c.u64le();
    if (written === 0n) return 'disabled';
    return written === this.#crc.value ? 'ok' : 'wrong';
  }

  /** Says that no bytes follow. */
  finish(): void {
    if (this.done) return;
    const at = this.pushed;
    throw new RewindError(
      'RDB_TRUNCATED',
      `the dump ends at byte ${at} before its end mark, inside of: ${this.#phase}`,
      {
        details: { offset: at },
      },
    );
  }

  #sum(to: number): void {
    this.#crc.update(this.#window, this.#from, to);
    this.#from = to;
  }

  #run(c: Cursor): void {
    while (this.#phase !== 'done' && this.#phase !== 'sum-only') {
      switch (this.#phase) {
        case 'record':
          this.#record(c);
          break;
        case 'key':
          this.#readKey(c);
          break;
        case 'value':
          this.#reader.run(c);
          this.#endValue(c);
          break;
        case 'aux-name':
          this.#strings.read(c, this.#text);
          this.#auxName = this.#text.text();
          this.#stringAt = c.offset;
          this.#phase = 'aux-value';
          break;
        case 'aux-value':
          this.#strings.read(c, this.#auxName === scriptAux ? null : this.#text);
          this.#visitor.aux?.(this.#auxName, this.#auxName === scriptAux ? '' : this.#text.text());
          this.#phase = 'record';
          break;
        case 'function':
          this.#strings.read(c, this.#functionCode);
          this.#visitor.functionEnd?.();
          this.#phase = 'record';
          break;
        case 'module-aux':
          this.#module.pieces(c);
          this.#phase = 'record';
          break;
        case 'slot-import':
          this.#strings.read(c, null);
          this.#phase = 'slot-ranges';
          this.#slotRanges = -1;
          break;
        case 'slot-ranges':
          this.#skipSlotRanges(c);
          break;
        case 'key-meta':
          this.#skipKeyMeta(c);
          break;
        case 'header':
          this.#header(c);
          break;
        case 'footer':
          this.#footer(c);
          break;
      }
    }
  }

  #header(c: Cursor): void {
    c.need(headerBytes);
    const header = parseHeader(c.buf, c.pos);
    if (header === null) {
      throw c.error(
        'RDB_NOT_A_DUMP',
        'the first nine bytes are not those of an RDB dump (REDIS or VALKEY and a version)',
      );
    }
    const { magic, version } = header;
    if (version < 1 || version > newestVersion[magic]) {
      throw c.error('RDB_VERSION_UNKNOWN', `RDB version ${version} of ${magic} is not known to this reader`, header);
    }
    c.pos += headerBytes;
    c.commit();
    this.magic = magic;
    this.version = version;
    for (const [code, info] of typesOf(magic)) this.#types[code] = info;
    this.#readers = valueReaders(magic, this.#strings, this.#module);
    this.#visitor.header?.(magic, version);
    this.#phase = 'record';
  }

  /** Reads opcodes up to a key's type byte, or up to one whose content is read on its own. */
  #record(c: Cursor): void {
    const entry = this.#entry;
    for (;;) {
      const at = c.base + c.pos;
      const code = c.u8();
      const info = this.#types[code];
      if (info !== undefined) {
        entry.typeCode = code;
        entry.type = info.type;
        entry.typeAt = at;
        if (this.#recordStart < 0) this.#recordStart = at;
        entry.start = this.#recordStart;
        c.commit();
        this.#stringAt = c.offset;
        this.#phase = 'key';
        return;
      }
      switch (code) {
        case opcode.expireTimeMs:
          entry.expireAtMs = c.i64le();
          break;
        case opcode.expireTime:
          entry.expireAtMs = (c.u32le() | 0) * 1000;
          break;
        case opcode.idle:
          entry.idleSeconds = c.length();
          break;
        case opcode.ramLru:
          c.length();
          break;
        case opcode.freq:
          entry.frequency = c.u8();
          break;
        default:
          this.#opcode(c, code, at);
          if (this.#phase !== 'record') return;
          continue;
      }
      if (this.#recordStart < 0) this.#recordStart = at;
      c.commit();
    }
  }

  /** An opcode that belongs to no key. */
  #opcode(c: Cursor, code: number, at: number): void {
    switch (code) {
      case opcode.selectDb:
        this.#entry.db = c.length();
        c.commit();
        this.#visitor.selectDb?.(this.#entry.db);
        return;
      case opcode.resizeDb: {
        const keys = c.length();
        const expires = c.length();
        c.commit();
        this.#visitor.resizeDb?.(this.#entry.db, keys, expires);
        return;
      }
      case opcode.slotNumber:
        c.length();
        c.commit();
        return;
      case opcode.slotInfo:
        c.length();
        c.length();
        c.length();
        c.commit();
        return;
      case opcode.aux:
        c.commit();
        this.#stringAt = c.offset;
        this.#phase = 'aux-name';
        return;
      case opcode.function2:
        c.commit();
        this.#functionCode = this.#visitor.functionCode?.() ?? null;
        this.#phase = 'function';
        return;
      case opcode.moduleAux: {
        const id = c.length64();
        if (c.length() !== moduleOpcode.uint)
          throw c.corrupt("a module's auxiliary data does not say when it is loaded");
        c.length();
        c.commit();
        this.#visitor.moduleAux?.(moduleTypeName(id));
        this.#module.begin(null);
        this.#phase = 'module-aux';
        return;
      }
      case opcode.eof:
        c.commit();
        this.#sum(c.pos);
        this.#phase = this.version < firstVersionWithChecksum ? 'done' : 'footer';
        return;
    }
    if (code === opcode.slotImport && this.magic === 'VALKEY') {
      c.commit();
      this.#phase = 'slot-import';
      return;
    }
    if (code === opcode.keyMeta && this.version >= firstVersionWithKeyMeta) {
      this.#metaLeft = c.length();
      c.commit();
      if (this.#recordStart < 0) this.#recordStart = at;
      this.#entry.metaAt = at;
      this.#inMeta = false;
      this.#phase = 'key-meta';
      return;
    }
    const name = unknownTypeName(this.magic, code);
    throw new RewindError(
      'RDB_TYPE_UNKNOWN',
      `byte ${at} of the dump begins a record of type ${code} (${name}), whose length this reader cannot know`,
      { details: { offset: at, typeCode: code, name } },
    );
  }

  #skipSlotRanges(c: Cursor): void {
    if (this.#slotRanges < 0) {
      this.#slotRanges = c.length();
      c.commit();
    }
    while (this.#slotRanges > 0) {
      c.length();
      c.length();
      c.commit();
      this.#slotRanges--;
    }
    this.#phase = 'record';
  }

  /** Each class of metadata: four bytes that say which, then a module's pieces. */
  #skipKeyMeta(c: Cursor): void {
    while (this.#metaLeft > 0) {
      if (!this.#inMeta) {
        c.u32le();
        c.commit();
        this.#module.begin(null);
        this.#inMeta = true;
      }
      this.#module.pieces(c);
      this.#inMeta = false;
      this.#metaLeft--;
    }
    this.#phase = 'record';
  }

  #readKey(c: Cursor): void {
    this.#strings.read(c, this.#key);
    const entry = this.#entry;
    entry.keyBytes = this.#key.bytes;
    entry.keyStart = this.#key.start;
    entry.keyEnd = this.#key.end;
    entry.valueStart = c.base + c.pos;
    const sink = this.#visitor.key?.(entry) ?? null;
    if (sink !== null && !isDecoded(entry.type)) throw new TypeError(`a value of type ${entry.type} cannot be decoded`);
    this.#reader = this.#readers[entry.typeCode]!;
    this.#reader.begin(sink);
    this.#phase = 'value';
  }

  #endValue(c: Cursor): void {
    c.commit();
    const entry = this.#entry;
    entry.end = c.base + c.pos;
    if (this.#reader === this.#module) entry.moduleId = this.#module.id;
    this.#visitor.keyEnd?.(entry);
    entry.expireAtMs = -1;
    entry.idleSeconds = -1;
    entry.frequency = -1;
    entry.metaAt = -1;
    this.#recordStart = -1;
    this.#phase = 'record';
  }

  #tooLong(what: string, limit: number): RewindError {
    const offset = this.#stringAt;
    const message = `${what} at byte ${offset} of the dump is longer than ${limit} bytes`;
    return new RewindError('RDB_STRING_TOO_LONG', message, { details: { offset, limit } });
  }

  #footer(c: Cursor): void {
    const written = c.u64le();
    if (written !== 0n) {
      if (written !== this.#crc.value) {
        throw c.error(
          'RDB_CHECKSUM_WRONG',
          "the dump's CRC-64 does not fit its bytes: they changed after they were written",
        );
      }
      this.crc = 'ok';
    }
    c.commit();
    this.#phase = 'done';
  }
}
