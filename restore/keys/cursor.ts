import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { RdbMagic } from '../../rdb/magic.ts';
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

/**
 * The last cursor beside the list of names, written before what it announces is sent: the one that the caller has may be
 * older, or lost. It stays when the restore is done, so that asking for the same again answers at once; whoever removes the
 * list of names removes `<list>.cursor` with it.
 */
export class CursorFile {
  readonly #path: string;

  constructor(namesFile: string) {
    this.#path = `${namesFile}.cursor`;
  }

  write(cursor: PutKeysCursor): void {
    writeFileSync(`${this.#path}.part`, JSON.stringify(cursor), { mode: 0o600 });
    renameSync(`${this.#path}.part`, this.#path);
  }

  read(): PutKeysCursor | undefined {
    try {
      return JSON.parse(readFileSync(this.#path, 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }
}
