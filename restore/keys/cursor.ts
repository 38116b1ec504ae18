import { closeSync, constants, openSync, writeSync } from 'node:fs';
import type { RdbMagic } from '../../rdb/magic.ts';
import { readAt } from './dump-tape.ts';
import type { PutKeysFigures } from './figures.ts';

/**
 * Where a restore of keys goes on. All of the dump before `offset` is acknowledged by the live server and counted in
 * `figures`; behind `sentUpTo` nothing was sent; between the two it is not known.
 */
export interface PutKeysCursor {
  /** The dump's size in bytes: a cursor is of no use for another one. */
  readonly dumpBytes: number;
  readonly magic: RdbMagic;
  readonly version: number;
  readonly offset: number;
  /** Selected before `offset`. */
  readonly db: number;
  readonly sentUpTo: number;
  readonly figures: PutKeysFigures;
  /** The list of names up to here is of keys before `offset`. */
  readonly namesBytes: number;
  /** run_id of the live server: one that was started anew may have lost what it had acknowledged. */
  readonly runId: string;
  /** Digest of what was asked for, and of whom: the place of another restore is not this one's. */
  readonly asked: string;
}

/** Two places in the file, written in turn: one of them is whole whenever the other is being written. */
const placeBytes = 256 * 1024;

/**
 * The last cursor beside the list of names, written before what it announces is sent: the one that the caller has may be
 * older, or lost. It stays when the restore is done, so that asking for the same again answers at once; whoever removes the
 * list of names removes `<list>.cursor` with it.
 *
 * Written in place: to rename a file over another makes some file systems wait for the disk, many times a second. It is to
 * outlive processes, not the machine, which would take the live server with it.
 */
export class CursorFile {
  readonly #fd: number;
  #turn = 0;

  constructor(namesFile: string) {
    this.#fd = openSync(`${namesFile}.cursor`, constants.O_RDWR | constants.O_CREAT, 0o600);
  }

  write(cursor: PutKeysCursor): void {
    const bytes = Buffer.from(`${JSON.stringify({ turn: ++this.#turn, cursor })}\n`);
    if (bytes.length > placeBytes) throw new Error('the cursor is longer than its place');
    writeSync(this.#fd, bytes, 0, bytes.length, (this.#turn % 2) * placeBytes);
  }

  /** The newest that is whole; undefined where there is none. */
  read(): PutKeysCursor | undefined {
    const found = [0, placeBytes].map((at) => this.#readAt(at)).filter((each) => each !== undefined);
    const newest = found.reduce((a, b) => (a === undefined || b.turn > a.turn ? b : a), found[0]);
    if (newest === undefined) return undefined;
    this.#turn = newest.turn;
    return newest.cursor;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #readAt(at: number): { turn: number; cursor: PutKeysCursor } | undefined {
    const bytes = Buffer.alloc(placeBytes);
    const end = bytes.subarray(0, readAt(this.#fd, bytes, 0, placeBytes, at)).indexOf('\n');
    try {
      return end < 0 ? undefined : JSON.parse(bytes.toString('utf8', 0, end));
    } catch {
      return undefined;
    }
  }
}
