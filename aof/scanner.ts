import { RewindError } from '../errors/rewind-error.ts';
import { AofCommand, heldArgumentBytes, heldArguments } from './command.ts';
import type { AofVisitor } from './visitor.ts';

/** Most bytes that one read takes in; what is scanned then still lies in the processor's cache. */
const blockBytes = 256 * 1024;
/** What may be held of the command at hand: its first arguments with their lengths. */
const carryBytes = heldArguments * (heldArgumentBytes + 64);
/** aof.c reads a line of an annotation into this many bytes. */
const longestAnnotation = 1024;
/** Digits of a number: what it says stays below 2^53. */
const mostDigits = 15;
/** Longer numbers are left to the slow way. */
const quickDigits = 8;
const mostArguments = 0x7fff_ffff;

const cr = 13;
const lf = 10;
const hash = 0x23;
const dollar = 0x24;
const star = 0x2a;
const zero = 0x30;

/** What is known of an append-only file up to where it was read. */
export interface AofProgress {
  readonly commands: number;
  /** Offset behind the last whole command outside of a transaction, or whole transaction: where it can be cut. */
  readonly validUpTo: number;
  readonly db: number;
  /** The newest `#TS` of a whole command or transaction: the second that the file up to `validUpTo` has reached. */
  readonly timestamp?: number;
}

/**
 * Scans the commands of an append-only file that is pushed into it block by block (fill `room()`, then `advance`), in
 * fixed memory: it walks from length to length and never looks into a value. Nothing is allocated per command, whatever
 * a length claims.
 */
export class AofScanner {
  readonly #visitor: AofVisitor;
  readonly #window = new Uint8Array(carryBytes + heldArgumentBytes + 64 + blockBytes);
  readonly #command = new AofCommand();
  /** Offset in the file of what would be the window's first byte, for the bytes from #pos on. */
  #base: number;
  #pos = 0;
  #to = 0;
  /** Arguments that are still to come; -1 between commands. */
  #left = -1;
  /** Where the command at hand begins in the window, and where what is held of it ends; -1: all up to #pos. */
  #headStart = 0;
  #headEnd = -1;
  /** Bytes of an argument that is not held, with its CRLF, that are still to be passed over; -1: in none. */
  #skip = -1;
  #db: number;
  #transactionAt = -1;
  #commands = 0;
  #validUpTo: number;
  #validCommands = 0;
  #validDb: number;
  #newest = -1;
  #validNewest = -1;

  /** @param from what of the file was read before: the offset of the first byte that is pushed, and the database there */
  constructor(visitor: AofVisitor, from: { offset?: number; db?: number } = {}) {
    this.#visitor = visitor;
    this.#base = from.offset ?? 0;
    this.#validUpTo = this.#base;
    this.#db = from.db ?? 0;
    this.#validDb = this.#db;
    this.#command.bytes = this.#window;
  }

  /** Offset behind the last byte that was pushed. */
  get pushed(): number {
    return this.#base + this.#to;
  }

  get progress(): AofProgress {
    return {
      commands: this.#validCommands,
      validUpTo: this.#validUpTo,
      db: this.#validDb,
      ...(this.#validNewest < 0 ? {} : { timestamp: this.#validNewest }),
    };
  }

  /** Where to put the next bytes. Never empty; what is put there is read by `advance`. */
  room(): Uint8Array {
    const window = this.#window;
    const inCommand = this.#left >= 0;
    const headEnd = this.#headEnd < 0 ? this.#pos : this.#headEnd;
    const head = inCommand ? headEnd - this.#headStart : 0;
    if (inCommand && this.#headStart > 0) {
      window.copyWithin(0, this.#headStart, headEnd);
      const command = this.#command;
      for (let i = 0; i < command.held; i++) {
        command.argumentStart[i]! -= this.#headStart;
        command.argumentEnd[i]! -= this.#headStart;
      }
    }
    this.#headStart = 0;
    if (this.#headEnd >= 0) this.#headEnd = head;
    if (this.#pos > head) {
      window.copyWithin(head, this.#pos, this.#to);
      this.#base += this.#pos - head;
      this.#to -= this.#pos - head;
      this.#pos = head;
    }
    return window.subarray(this.#to, Math.min(this.#to + blockBytes, window.length));
  }

  /**
   * Reads on, now that `room()` holds `bytes` more.
   *
   * @throws RewindError AOF_CORRUPT
   */
  advance(bytes: number): void {
    this.#to += bytes;
    do {
      if (this.#left < 0) this.#wholeCommands();
    } while (this.#left >= 0 ? this.#arguments() : this.#begin());
  }

  /**
   * Says that no bytes follow.
   *
   * @throws RewindError AOF_TRUNCATED where a command or a transaction is open
   */
  finish(): void {
    // A server takes an annotation that was cut off for one.
    const annotation = this.#left < 0 && this.#pos < this.#to && this.#window[this.#pos] === hash;
    if (this.#transactionAt >= 0 && this.#left < 0 && (this.#pos === this.#to || annotation)) {
      throw this.#truncated('a transaction, before its EXEC');
    }
    if (annotation || (this.#pos === this.#to && this.#left < 0)) return;
    throw this.#truncated('a command');
  }

  /**
   * The quick way: commands that lie whole in the window. Leaves at its first byte whatever is anything else (cut off by
   * the window's end, long, an annotation, damaged) to the slow way, which reads it again and says what it is.
   */
  #wholeCommands(): void {
    const window = this.#window;
    const to = this.#to;
    const command = this.#command;
    const { argumentStart, argumentEnd } = command;
    let begin = this.#pos;
    for (;;) {
      let p = begin + 1;
      if (p >= to || window[begin] !== star) break;
      let argc = 0;
      let digit = window[p]! - zero;
      while (digit >= 0 && digit <= 9 && argc < 1e6) {
        argc = argc * 10 + digit;
        if (++p >= to) break;
        digit = window[p]! - zero;
      }
      if (argc === 0 || p - begin > quickDigits || p + 1 >= to || window[p] !== cr || window[p + 1] !== lf) break;
      p += 2;
      let index = 0;
      for (; index < argc; index++) {
        const first = p + 1;
        if (first >= to || window[p] !== dollar) break;
        p = first;
        let length = 0;
        digit = window[p]! - zero;
        while (digit >= 0 && digit <= 9 && length < 1e6) {
          length = length * 10 + digit;
          if (++p >= to) break;
          digit = window[p]! - zero;
        }
        const end = p + 2 + length;
        if (p === first || p - first > quickDigits || length > heldArgumentBytes || end + 1 >= to) break;
        if (window[p] !== cr || window[p + 1] !== lf || window[end] !== cr || window[end + 1] !== lf) break;
        if (index < heldArguments) {
          argumentStart[index] = p + 2;
          argumentEnd[index] = end;
        }
        p = end + 2;
      }
      if (index < argc) break;
      command.start = this.#base + begin;
      command.end = this.#base + p;
      command.argc = argc;
      command.held = Math.min(argc, heldArguments);
      begin = p;
      this.#pos = p;
      this.#endCommand(command);
    }
  }

  /** Reads the beginning of a command, or an annotation; false where more bytes are needed. */
  #begin(): boolean {
    const window = this.#window;
    const to = this.#to;
    const at = this.#pos;
    if (at >= to) return false;
    if (window[at] === hash) return this.#annotation();
    if (window[at] !== star) throw this.#corrupt(at, 'neither a command nor an annotation begins here');
    const argc = this.#number(at + 1);
    if (argc < 0) return false;
    if (argc === 0 || argc > mostArguments) throw this.#corrupt(at, `a command of ${argc} arguments`);
    const command = this.#command;
    command.start = this.#base + at;
    command.argc = argc;
    command.held = 0;
    this.#headStart = at;
    this.#headEnd = -1;
    this.#left = argc;
    return true;
  }

  /** Reads arguments to the command's end; false where more bytes are needed. */
  #arguments(): boolean {
    const window = this.#window;
    const to = this.#to;
    const command = this.#command;
    let left = this.#left;
    while (left > 0) {
      if (this.#skip >= 0) {
        this.#left = left;
        if (!this.#passOver()) return false;
        left--;
        continue;
      }
      const at = this.#pos;
      if (at >= to) break;
      if (window[at] !== dollar) throw this.#corrupt(at, 'no length of an argument stands here');
      const length = this.#number(at + 1);
      if (length < 0) break;
      const start = this.#pos;
      const end = start + length;
      const index = command.argc - left;
      const hold = this.#headEnd < 0 && index < heldArguments && length <= heldArgumentBytes;
      if (end + 2 <= to) {
        if (window[end] !== cr || window[end + 1] !== lf) throw this.#unended(end);
        if (hold) {
          command.argumentStart[index] = start;
          command.argumentEnd[index] = end;
          command.held = index + 1;
        } else if (this.#headEnd < 0) this.#headEnd = at;
        this.#pos = end + 2;
        left--;
        continue;
      }
      if (hold) {
        this.#pos = at;
        break;
      }
      if (this.#headEnd < 0) this.#headEnd = at;
      this.#skip = length + 2;
    }
    this.#left = left;
    if (left > 0) return false;
    this.#left = -1;
    command.end = this.#base + this.#pos;
    this.#endCommand(command);
    return true;
  }

  /** Passes over an argument that is not held; false where more bytes are needed. */
  #passOver(): boolean {
    const window = this.#window;
    for (;;) {
      const there = this.#to - this.#pos;
      if (there <= 0) return false;
      if (this.#skip > 2) {
        const take = Math.min(there, this.#skip - 2);
        this.#pos += take;
        this.#skip -= take;
        continue;
      }
      if (there < 2) return false;
      if (window[this.#pos] !== cr || window[this.#pos + 1] !== lf) throw this.#unended(this.#pos);
      this.#pos += 2;
      this.#skip = -1;
      return true;
    }
  }

  #endCommand(command: AofCommand): void {
    command.db = this.#db;
    command.transactionAt = this.#transactionAt;
    this.#commands++;
    // Only names of four to six letters mean something here.
    const nameBytes = command.held === 0 ? 0 : command.argumentEnd[0]! - command.argumentStart[0]!;
    if (nameBytes >= 4 && nameBytes <= 6) {
      if (this.#transactionAt < 0) {
        if (command.is('multi')) {
          this.#transactionAt = command.start;
          command.transactionAt = command.start;
        }
      } else if (command.is('exec')) this.#transactionAt = -1;
      if (command.is('select')) this.#db = this.#selected(command);
    }
    if (this.#transactionAt < 0) this.#valid(command.end);
    this.#visitor.command?.(command);
  }

  #valid(end: number): void {
    this.#validUpTo = end;
    this.#validCommands = this.#commands;
    this.#validDb = this.#db;
    this.#validNewest = this.#newest;
  }

  #selected(command: AofCommand): number {
    const digits = command.held === 2 ? command.argumentEnd[1]! - command.argumentStart[1]! : 0;
    let db = digits === 0 || digits > 9 ? -1 : 0;
    for (let i = 0; i < digits && db >= 0; i++) {
      const digit = command.bytes[command.argumentStart[1]! + i]! - zero;
      db = digit >= 0 && digit <= 9 ? db * 10 + digit : -1;
    }
    if (db < 0) throw this.#error('AOF_CORRUPT', 'a SELECT of no database', command.start);
    return db;
  }

  /** `#TS:1700000000` and a line feed; others are passed over, as a server does. */
  #annotation(): boolean {
    const window = this.#window;
    const at = this.#pos;
    const limit = Math.min(this.#to, at + longestAnnotation);
    let end = at;
    while (end < limit && window[end] !== lf) end++;
    if (end === limit) {
      if (limit - at === longestAnnotation) throw this.#corrupt(at, `an annotation of more than ${limit - at} bytes`);
      return false;
    }
    const offset = this.#base + at;
    this.#pos = end + 1;
    if (window[at + 1] === 0x54 && window[at + 2] === 0x53 && window[at + 3] === 0x3a) {
      const text = String.fromCharCode(...window.subarray(at + 4, end)).trimEnd();
      if (/^\d{1,15}$/.test(text)) {
        this.#newest = Number(text);
        this.#visitor.timestamp?.(this.#newest, offset);
      }
    }
    return true;
  }

  /** The number whose digits begin at `at`, leaving #pos behind its CRLF; -1 where more bytes are needed. */
  #number(at: number): number {
    const window = this.#window;
    const to = this.#to;
    let value = 0;
    let p = at;
    for (; p < to; p++) {
      const digit = window[p]! - zero;
      if (digit < 0 || digit > 9) break;
      if (p - at >= mostDigits) throw this.#corrupt(p, 'a number is too long');
      value = value * 10 + digit;
    }
    if (p >= to) return -1;
    if (p === at || window[p] !== cr) throw this.#corrupt(p, 'no digit stands where a number goes on');
    if (p + 1 >= to) return -1;
    if (window[p + 1] !== lf) throw this.#corrupt(p + 1, 'a line does not end as it should');
    this.#pos = p + 2;
    return value;
  }

  #corrupt(at: number, what: string): RewindError {
    return this.#error('AOF_CORRUPT', what, this.#base + at);
  }

  /** A server passes over these two bytes without a look. */
  #unended(at: number): RewindError {
    return this.#error('AOF_CORRUPT', 'an argument does not end where its length says', this.#base + at);
  }

  #truncated(inside: string): RewindError {
    const at = this.pushed;
    const message = `the append-only file ends at byte ${at} too early, inside of ${inside}`;
    return new RewindError('AOF_TRUNCATED', message, { details: { offset: at, ...this.progress } });
  }

  #error(code: 'AOF_CORRUPT', what: string, offset: number): RewindError {
    const message = `the append-only file is damaged at byte ${offset}: ${what}`;
    return new RewindError(code, message, { details: { offset, ...this.progress } });
  }
}
