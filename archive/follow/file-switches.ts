import type { AofPlace } from './aof-place.ts';
import type { HeldFile } from './held-files.ts';
import type { FilesNow } from './manifest-watch.ts';
import type { ServerSigns } from './server-watch.ts';

/** What one process had been told by then (see `ServerSigns.switches`), and whose history it had. */
type Told = Pick<ServerSigns, 'runId' | 'switches'> & Partial<Pick<ServerSigns, 'replicationId' | 'previousId'>>;

/**
 * Whether a file goes on where another ends, where no manifest was seen that names both: a rewrite that was over between two
 * looks leaves the same names as a file that was switched off and on again. Off and on is by a command each; so nobody has
 * switched where the server counts as many while it appends to the one as once the other is there. What it said before the
 * other was there proves nothing.
 */
export class FileSwitches {
  /** By id of a file, while it was the one that is appended to, the last time. */
  readonly #appending = new Map<string, Told>();
  /** By id of a file, the first time after it was there. */
  readonly #there = new Map<string, Told>();

  /** @param before the files at a look before the server was asked @param after at one after it */
  saw(before: FilesNow, after: FilesNow, signs: ServerSigns): void {
    // A replica's file is ended and begun by a resync, without a command of its own.
    if (!signs.aofOn || signs.role !== 'primary') return;
    for (const { id } of before.incrs) if (!this.#there.has(id)) this.#there.set(id, signs);
    const last = before.incrs.at(-1);
    // Switched on again, it goes on under a name of its own while its base is written.
    if (last && last.id === after.incrs.at(-1)?.id && !signs.rewriting) this.#appending.set(last.id, signs);
  }

  /** What it had been told while it appended to the file; undefined where that was not seen. */
  appendingTo({ id }: HeldFile): Told | undefined {
    return this.#appending.get(id);
  }

  /**
   * @param place what is remembered of the file before, by this follower or the last one
   * @param now what the server said after `next` was there
   */
  goesOn(file: HeldFile, next: HeldFile, place: AofPlace, now: ServerSigns | undefined): boolean {
    const from = this.#appending.get(file.id) ?? remembered(next, place);
    const to = this.#there.get(next.id) ?? (now?.role === 'primary' ? now : undefined);
    if (!from || !to) return false;
    // A node of a cluster is made a replica, and a primary again, by its peers: then it has another's history behind it.
    // With its first replica a primary takes a new id, too, and has none before it.
    const sameHistory = from.replicationId === to.replicationId || to.previousId === undefined;
    return from.runId === to.runId && from.switches === to.switches && sameHistory;
  }
}

function remembered(next: HeldFile, { runId, switches, replicationId, lastSeq }: AofPlace): Told | undefined {
  // That of a later file says nothing about what was before it.
  if (switches === undefined || lastSeq === undefined || lastSeq > next.seq) return undefined;
  return { runId, switches, ...(replicationId === undefined ? {} : { replicationId }) };
}
