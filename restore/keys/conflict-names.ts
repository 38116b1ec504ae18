import { isUtf8 } from 'node:buffer';
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { ByteStrings } from './byte-strings.ts';
import { readAt } from './dump-tape.ts';

export type ConflictOutcome = 'kept' | 'replaced';

const lineFeed = 0x0a;
const pieceBytes = 256 * 1024;

/**
 * The file that lists the keys which were in the live server already: one JSON line each, `{"db":0,"key":"…","outcome":
 * "kept"}`; a key that is no UTF-8 stands in base64, with `"base64":true`. A replaced key is listed before it is
 * replaced, so that whoever goes on after a crash can tell what was its own doing.
 */
export class ConflictNames {
  readonly #fd: number;
  #length: number;
  #lines: string[] = [];
  #listed: ByteStrings | undefined;

  private constructor(fd: number, length: number) {
    this.#fd = fd;
    this.#length = length;
  }

  /** Whether it was there before says that an earlier attempt began. */
  static open(path: string): { names: ConflictNames; isNew: boolean } {
    const { fd, isNew } = openOrMake(path);
    const names = new ConflictNames(fd, fstatSync(fd).size);
    names.#cutOffHalfALine();
    return { names, isNew };
  }

  /** Bytes. */
  get length(): number {
    return this.#length;
  }

  /** Learns what was listed from `offset` on. */
  recall(offset: number): void {
    this.#listed = new ByteStrings();
    let rest = Buffer.alloc(0);
    for (let at = Math.min(offset, this.#length); at < this.#length; ) {
      const piece = Buffer.alloc(Math.min(pieceBytes, this.#length - at));
      const read = readAt(this.#fd, piece, 0, piece.length, at);
      if (read === 0) break;
      at += read;
      const bytes = Buffer.concat([rest, piece.subarray(0, read)]);
      let from = 0;
      for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, from)) {
        this.#recallLine(bytes.toString('utf8', from, end));
        from = end + 1;
      }
      rest = bytes.subarray(from);
    }
  }

  /** Whether an earlier attempt listed the key. */
  has(db: number, key: Uint8Array): boolean {
    return this.#listed !== undefined && this.#listed.size > 0 && this.#listed.has(named(db, key));
  }

  add(db: number, key: Buffer, outcome: ConflictOutcome): void {
    const name = isUtf8(key) ? { db, key: key.toString() } : { db, key: key.toString('base64'), base64: true };
    this.#lines.push(`${JSON.stringify({ ...name, outcome })}\n`);
  }

  /** A function library that was there and stays. */
  addLibrary(library: string): void {
    this.#lines.push(`${JSON.stringify({ library, outcome: 'kept' })}\n`);
  }

  /** Writes what was added. */
  flush(): void {
    if (this.#lines.length === 0) return;
    const bytes = Buffer.from(this.#lines.join(''));
    this.#lines = [];
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at, bytes.length - at, this.#length + at);
    this.#length += bytes.length;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** A process that was killed while it wrote leaves one. */
  #cutOffHalfALine(): void {
    const piece = Buffer.alloc(pieceBytes);
    let length = this.#length;
    while (length > 0) {
      const from = Math.max(0, length - piece.length);
      const read = readAt(this.#fd, piece, 0, length - from, from);
      const end = piece.lastIndexOf(lineFeed, read - 1);
      length = end < 0 ? from : from + end + 1;
      if (end >= 0 || from === 0) break;
    }
    if (length < this.#length) ftruncateSync(this.#fd, length);
    this.#length = length;
  }

  #recallLine(line: string): void {
    if (line === '') return;
    const { db, key, base64 } = JSON.parse(line) as { db?: number; key?: string; base64?: boolean };
    if (db !== undefined && key !== undefined)
      this.#listed!.add(named(db, Buffer.from(key, base64 ? 'base64' : 'utf8')));
  }
}

function openOrMake(path: string): { fd: number; isNew: boolean } {
  try {
    return { fd: openSync(path, 'wx+', 0o600), isNew: true };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return { fd: openSync(path, 'r+'), isNew: false };
  }
}

const named = (db: number, key: Uint8Array): Buffer => Buffer.concat([Buffer.from(`${db}:`), key]);
