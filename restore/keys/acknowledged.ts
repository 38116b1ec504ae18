import type { CursorFile, PutKeysCursor } from './cursor.ts';
import { addTally, type PutKeysFigures } from './figures.ts';
import type { Part } from './part.ts';
import type { RestoreIdentity, ResumePoint } from './resume-point.ts';

/** Bytes of the dump that one announcement covers: what has to be looked at again after a crash. */
const spanBytes = 4 * 1024 * 1024;

/** How far the live server has acknowledged the dump, in the dump's order, and how far sends were announced. */
export class Acknowledged {
  readonly #identity: RestoreIdentity;
  readonly #file: CursorFile;
  readonly #onCursor: (cursor: PutKeysCursor) => void | Promise<void>;
  readonly #namesLength: () => number;
  readonly #from: ResumePoint;
  #parts: Part[] = [];
  #first = 0;
  /** Done, but without a place of their own to go on from: they count with the next that has one. */
  #held: Part[] = [];
  #offset: number;
  #db: number;
  #figures: PutKeysFigures;
  #announcedUpTo: number;
  #announcing: Promise<void> | undefined;

  constructor(
    identity: RestoreIdentity,
    from: ResumePoint,
    file: CursorFile,
    onCursor: (cursor: PutKeysCursor) => void | Promise<void>,
    namesLength: () => number,
  ) {
    this.#identity = identity;
    this.#file = file;
    this.#onCursor = onCursor;
    this.#namesLength = namesLength;
    this.#from = from;
    this.#offset = from.offset;
    this.#db = from.db;
    this.#figures = from.figures;
    this.#announcedUpTo = from.doubtUpTo;
  }

  get cursor(): PutKeysCursor {
    return {
      ...this.#identity,
      offset: this.#offset,
      db: this.#db,
      sentUpTo: Math.max(this.#announcedUpTo, this.#offset),
      figures: this.#figures,
      namesBytes: this.#namesBytes,
    };
  }

  get #namesBytes(): number {
    // The attempt before may have listed keys that are still to come.
    if (this.#offset < this.#from.doubtUpTo) return this.#from.namesBytes;
    const open = this.#held[0] ?? this.#parts[this.#first];
    return open === undefined || open.namesAt < 0 ? this.#namesLength() : open.namesAt;
  }

  /** Whether everything that was begun is done. */
  get complete(): boolean {
    return this.#first === this.#parts.length;
  }

  /** Call for each part in the dump's order before it is sent. */
  begin(part: Part): void {
    this.#parts.push(part);
  }

  /** Call when a part's answers are all there and counted. */
  settle(): void {
    while (this.#first < this.#parts.length && this.#parts[this.#first]!.done) {
      const part = this.#parts[this.#first++]!;
      if (part.to < 0) {
        this.#held.push(part);
        continue;
      }
      for (const held of this.#held.splice(0)) this.#figures = addTally(this.#figures, held.tally, held.db, 0);
      this.#figures = addTally(this.#figures, part.tally, part.db, part.to - this.#offset);
      this.#offset = part.to;
      this.#db = part.db;
    }
    if (this.#first > 512) {
      this.#parts.splice(0, this.#first);
      this.#first = 0;
    }
  }

  /** All of the dump is done with. */
  async end(dumpBytes: number): Promise<PutKeysFigures> {
    for (const held of this.#held.splice(0)) this.#figures = addTally(this.#figures, held.tally, held.db, 0);
    this.#figures = { ...this.#figures, bytes: dumpBytes };
    this.#offset = dumpBytes;
    while (this.#announcing !== undefined) await this.#announcing;
    await this.#announce(dumpBytes);
    return this.#figures;
  }

  /** Announces that bytes of the dump up to `offset` may be sent from now on; ahead of time where that is near. */
  async upTo(offset: number): Promise<void> {
    while (Math.min(offset, this.#identity.dumpBytes) > this.#announcedUpTo) {
      await this.#announce(offset + spanBytes);
    }
    if (offset > this.#announcedUpTo - spanBytes / 2 && this.#announcedUpTo < this.#identity.dumpBytes) {
      // Its failure is told to whoever needs it.
      this.#announce(offset + spanBytes).catch(() => {});
    }
  }

  /** Says where it is, between two announcements. */
  async tell(): Promise<void> {
    await this.#announce(this.#announcedUpTo);
  }

  /** The same when no answer is expected any more: an announcement that is under way was made before the last of them. */
  async tellLast(): Promise<void> {
    while (this.#announcing !== undefined) await this.#announcing;
    await this.tell();
  }

  /** One at a time: the file must never say less than what was announced before. */
  #announce(upTo: number): Promise<void> {
    return (this.#announcing ??= this.#announceNow(upTo).finally(() => {
      this.#announcing = undefined;
    }));
  }

  async #announceNow(upTo: number): Promise<void> {
    const next = Math.min(Math.max(upTo, this.#announcedUpTo), this.#identity.dumpBytes);
    const cursor = { ...this.cursor, sentUpTo: Math.max(next, this.#offset) };
    this.#file.write(cursor);
    await this.#onCursor(cursor);
    this.#announcedUpTo = next;
  }
}
