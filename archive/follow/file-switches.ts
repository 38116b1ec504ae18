import type { AofPlace } from './aof-place.ts';
import type { HeldFile } from './held-files.ts';
import type { FilesNow } from './manifest-watch.ts';
import type { ServerSigns } from './server-watch.ts';

/** What one process had been told by then; see `ServerSigns.switches`. */
type Told = Pick<ServerSigns, 'runId' | 'switches'>;

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
    const told = { runId: signs.runId, switches: signs.switches };
    for (const { id } of before.incrs) if (!this.#there.has(id)) this.#there.set(id, told);
    const last = before.incrs.at(-1);
    // Switched on again, it goes on under a name of its own while its base is written.
    if (last && last.id === after.incrs.at(-1)?.id && !signs.rewriting) this.#appending.set(last.id, told);
  }

  /** What it had been told while it appended to the file; undefined where that was not seen. */
  appendingTo({ id }: HeldFile): Told | undefined {
    return this.#appending.get(id);
  }

  /**
   * @param place what is remembered of the file before, by this follower or the last one
   * @param now what the server said after `next` was there
   */
  goesOn(file: HeldFile, next: HeldFile, place: AofPlace, now: Told | undefined): boolean {
    const from = this.#appending.get(file.id) ?? remembered(next, place);
    const to = this.#there.get(next.id) ?? now;
    return from !== undefined && to !== undefined && from.runId === to.runId && from.switches === to.switches;
  }
}

function remembered(next: HeldFile, { runId, switches, lastSeq }: AofPlace): Told | undefined {
  // That of a later file says nothing about what was before it.
  return switches === undefined || lastSeq === undefined || lastSeq > next.seq ? undefined : { runId, switches };
}
