import { createReadStream } from 'node:fs';
import { appendFile, mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as z from 'zod';
import { type DocumentKind, parseDocument } from '../repository/document.ts';
import type { ListedObject, Repository } from '../repository/repository.ts';
import type { PutKeysCursor } from './keys/cursor.ts';
import { type RestoreSubject, restoreDirectory } from './restore-subject.ts';

const CURSOR_BYTES = 256 * 1024;
const EVERY_MS = 15_000;

const count = z.int().nonnegative();
const figures = z.object({
  ...{ restored: count, kept: count, replaced: count, expired: count, notSelected: count },
  ...{ functionLibraries: count, functionLibrariesPassedOver: count, bytes: count },
  byDatabase: z.record(z.string().regex(/^\d{1,5}$/), count),
});
const progressSchema = z.object({
  formatVersion: z.literal(1),
  /** Absent: it was begun, and nothing is known but that. */
  cursor: z
    .object({
      ...{ dumpBytes: count, magic: z.enum(['REDIS', 'VALKEY']), version: count, offset: count, db: count },
      ...{ sentUpTo: count, namesBytes: count, runId: z.string().max(64), asked: z.string().max(64), figures },
    })
    .optional(),
});
const kind: DocumentKind = { code: 'RESTORE_PROGRESS_INVALID', newestVersion: 1 };

/**
 * How far a restore of keys is, in the repository: an agent on another machine goes on from there, where this one's disk
 * is lost. Numbered objects, because no name is overwritten: the place, and beside it the names of conflicts since the
 * one before. They are gone when the restore has ended.
 *
 * A key that was replaced behind the last place before the machine was lost counts as put: its name was not stored yet.
 */
export class StoredProgress {
  readonly #repository: Repository;
  readonly #directory: string;
  readonly #namesFile: string;
  readonly #everyMs: number;
  #number = 0;
  #namesBytes = 0;
  #lastAt = performance.now();
  #storing: Promise<void> | undefined;

  private constructor(repository: Repository, directory: string, namesFile: string, everyMs: number) {
    this.#repository = repository;
    this.#directory = directory;
    this.#namesFile = namesFile;
    this.#everyMs = everyMs;
  }

  /**
   * Call before anything is put. Where this machine knows nothing of the restore and another one began it, the names of
   * conflicts are brought here, and its last place is the answer: behind it everything is in doubt.
   *
   * @throws RESTORE_PROGRESS_INVALID; those of the repository
   */
  static async takeUp(
    repository: Repository,
    subject: RestoreSubject,
    namesFile: string,
    everyMs = EVERY_MS,
  ): Promise<{ progress: StoredProgress; cursor?: PutKeysCursor }> {
    const directory = `${restoreDirectory(subject)}progress-${subject.attempt ?? 1}/`;
    const progress = new StoredProgress(repository, directory, namesFile, everyMs);
    const there = await progress.#list();
    const last = there.places.at(-1);
    progress.#number = there.next;
    if (last === undefined) {
      await progress.#put({});
      return { progress };
    }
    progress.#namesBytes = there.names.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    if (await exists(`${namesFile}.cursor`)) return { progress };
    return { progress, ...(await progress.#bringHere(last, there.names)) };
  }

  /** Stores the place now and then, beside the work: a store that does not answer holds nothing up. */
  note(cursor: PutKeysCursor): void {
    if (this.#storing !== undefined || performance.now() - this.#lastAt < this.#everyMs) return;
    this.#storing = this.#putCursor(cursor)
      .catch(() => undefined)
      .finally(() => {
        this.#storing = undefined;
        this.#lastAt = performance.now();
      });
  }

  /** No more is stored from now on. */
  async settle(): Promise<void> {
    this.#lastAt = Number.POSITIVE_INFINITY;
    await this.#storing;
  }

  /** The restore has ended. */
  async remove(): Promise<void> {
    await this.settle();
    for await (const { key } of this.#repository.list(this.#directory)) await this.#repository.remove(key);
  }

  async #putCursor(cursor: PutKeysCursor): Promise<void> {
    const from = this.#namesBytes;
    if (cursor.namesBytes > from) {
      const names = createReadStream(this.#namesFile, { start: from, end: cursor.namesBytes - 1 });
      await this.#repository.putStream(this.#key('jsonl'), names as AsyncIterable<Uint8Array>);
      this.#namesBytes = cursor.namesBytes;
    }
    await this.#put({ cursor });
  }

  async #put(progress: { cursor?: PutKeysCursor }): Promise<void> {
    const document = JSON.stringify({ formatVersion: 1, ...progress });
    await this.#repository.putSmall(this.#key('json'), Buffer.from(document));
    this.#number += 1;
  }

  async #bringHere(last: string, names: readonly ListedObject[]): Promise<{ cursor?: PutKeysCursor }> {
    await mkdir(dirname(this.#namesFile), { recursive: true, mode: 0o700 });
    // That it is there says that the restore was begun before: nothing that is found live is taken for somebody else's.
    await writeFile(this.#namesFile, '', { mode: 0o600 });
    const bytes = await this.#repository.readSmall(last, CURSOR_BYTES);
    const { cursor } = parseDocument(kind, progressSchema, bytes, last);
    if (cursor === undefined) return {};
    for (const { key } of names) {
      for await (const chunk of await this.#repository.read(key)) await appendFile(this.#namesFile, chunk as Buffer);
    }
    if (this.#namesBytes >= cursor.namesBytes) return { cursor: { ...cursor, sentUpTo: cursor.dumpBytes } };
    // Without all names nothing but that it was begun is worth anything.
    await writeFile(this.#namesFile, '', { mode: 0o600 });
    return {};
  }

  /** What is stored: places and names, each in the order of their numbers, and the number that comes next. */
  async #list(): Promise<{ places: string[]; names: ListedObject[]; next: number }> {
    const found: { number: number; kind: string; object: ListedObject }[] = [];
    for await (const object of this.#repository.list(this.#directory)) {
      const [, number, kind = ''] = /\/(\d{8})\.(jsonl?)$/.exec(object.key) ?? [];
      if (number !== undefined) found.push({ number: Number(number), kind, object });
    }
    found.sort((a, b) => a.number - b.number);
    const of = (kind: string) => found.filter((each) => each.kind === kind).map(({ object }) => object);
    return { places: of('json').map(({ key }) => key), names: of('jsonl'), next: (found.at(-1)?.number ?? -1) + 1 };
  }

  #key(kind: 'json' | 'jsonl'): string {
    return `${this.#directory}${String(this.#number).padStart(8, '0')}.${kind}`;
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
