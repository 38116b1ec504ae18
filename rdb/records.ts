import { RewindError } from '../errors/rewind-error.ts';
import { CollectedString } from './collected-string.ts';
import type { Cursor } from './cursor.ts';
import { RdbEntry } from './entry.ts';
import { headerBytes, newestVersion, parseHeader, type RdbMagic } from './magic.ts';
import { firstVersionWithKeyMeta, hasOpcode, moduleOpcode, opcode } from './opcodes.ts';
import { KeyMeta, ModuleAux, type PassedOver, SlotImport } from './passed-over.ts';
import { type PieceTarget, StringReader } from './string-reader.ts';
import { isDecoded, type RdbTypeInfo, typesOf, unknownTypeName } from './types.ts';
import { valueReaders } from './value-readers.ts';
import { ModuleValue, moduleTypeName } from './values/module.ts';
import type { ValueReader } from './values/value-reader.ts';
import type { RdbVisitor } from './visitor.ts';

/** proto-max-bulk-len: no server accepts a longer key by default. */
const longestKey = 512 * 1024 * 1024;
const longestAux = 1024 * 1024;
/** Before Redis 7, dumps carry the bodies of cached scripts as auxiliary fields: they are passed over. */
const scriptAux = 'lua';

/** What is being read. Each is finished or begun again as a whole, but for strings and values, which go on. */
export type RecordPhase =
  | 'header'
  | 'record'
  | 'key'
  | 'value'
  | 'aux-name'
  | 'aux-value'
  | 'function'
  | 'passed-over'
  | 'end';

/**
 * Between a key's expiry and its type no server writes what belongs to no key. Who copied such a record would copy that
 * too: a function library a second time, for one.
 */
const mayStandInRecord = (code: number): boolean => !(code >= opcode.slotInfo && code <= opcode.eof);

/** Reads a dump's records from its header to its end mark and tells a visitor. May be interrupted at any byte. */
export class RdbRecords {
  magic: RdbMagic = 'REDIS';
  /** 0 before the header was read. */
  version = 0;
  readonly #visitor: RdbVisitor;
  readonly #strings = new StringReader();
  readonly #module = new ModuleValue(this.#strings);
  readonly #key = new CollectedString(longestKey, (limit) => this.#tooLong('a key', limit));
  readonly #text = new CollectedString(longestAux, (limit) => this.#tooLong('an auxiliary field', limit));
  readonly #entry = new RdbEntry();
  #types: (RdbTypeInfo | undefined)[] = [];
  #readers: (ValueReader | undefined)[] = [];
  #reader!: ValueReader;
  #phase: RecordPhase = 'header';
  #auxName = '';
  #functionCode: PieceTarget | null = null;
  #recordStart = -1;
  /** Where the string that is read as a whole begins. */
  #stringAt = 0;
  readonly #moduleAux = new ModuleAux(this.#module);
  readonly #keyMeta = new KeyMeta(this.#module);
  readonly #slotImport = new SlotImport(this.#strings);
  #passedOver: PassedOver = this.#moduleAux;

  readonly #onlyOfVersion: boolean;

  /**
   * @param onlyOfVersion refuse types and opcodes that came later than the dump's version; servers read them all the same,
   *   whatever the header says
   */
  constructor(visitor: RdbVisitor, onlyOfVersion = false) {
    this.#visitor = visitor;
    this.#onlyOfVersion = onlyOfVersion;
  }

  get phase(): RecordPhase {
    return this.#phase;
  }

  /** Reads on; returns behind the end mark, throws `needMore` before. */
  run(c: Cursor): void {
    while (this.#phase !== 'end') {
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
        case 'passed-over':
          this.#passedOver.run(c);
          this.#phase = 'record';
          break;
        case 'header':
          this.#header(c);
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
    this.beginAt(magic, version, 0);
    this.#visitor.header?.(magic, version);
  }

  /** Expects a record next, of a dump whose header was read before. */
  beginAt(magic: RdbMagic, version: number, db: number): void {
    this.magic = magic;
    this.version = version;
    for (const [code, info] of typesOf(magic, this.#onlyOfVersion ? version : undefined)) this.#types[code] = info;
    this.#readers = valueReaders(magic, this.#strings, this.#module);
    this.#entry.db = db;
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
          this.#visitor.enterpriseOnly?.(at);
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
    if (this.#onlyOfVersion && !hasOpcode(this.version, code)) throw this.#unknown(code, at);
    if (this.#recordStart >= 0 && !mayStandInRecord(code)) {
      throw c.corrupt('an expiry or an idle time is followed by no key', at);
    }
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
        this.#visitor.enterpriseOnly?.(at);
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
        this.#passOver(this.#moduleAux);
        return;
      }
      case opcode.eof:
        c.commit();
        this.#phase = 'end';
        return;
    }
    if (code === opcode.slotImport && this.magic === 'VALKEY') {
      c.commit();
      this.#passOver(this.#slotImport);
      return;
    }
    if (code === opcode.keyMeta && this.version >= firstVersionWithKeyMeta) {
      c.commit();
      if (this.#recordStart < 0) this.#recordStart = at;
      this.#entry.metaAt = at;
      this.#passOver(this.#keyMeta);
      return;
    }
    throw this.#unknown(code, at);
  }

  #unknown(code: number, at: number): RewindError {
    const name = unknownTypeName(this.magic, code);
    return new RewindError(
      'RDB_TYPE_UNKNOWN',
      `byte ${at} of the dump begins a record of type ${code} (${name}), whose length this reader cannot know`,
      { details: { offset: at, typeCode: code, name } },
    );
  }

  #passOver(what: PassedOver): void {
    what.begin();
    this.#passedOver = what;
    this.#phase = 'passed-over';
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
}
