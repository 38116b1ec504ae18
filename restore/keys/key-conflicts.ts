import type { Batch } from './batch.ts';
import type { ConflictNames } from './conflict-names.ts';
import type { Tally } from './figures.ts';
import type { OnConflict } from './put-keys-task.ts';
import type { KeyInDump, SameContent } from './same-content.ts';
import type { WorkMemory } from './work-memory.ts';

export interface Conflict extends KeyInDump {
  /** An attempt before may have put it. */
  readonly doubtful: boolean;
}

/**
 * What becomes of keys that are in the live server already. One that an attempt before may have put is held against the
 * dump: equal, it is that attempt's work, and counted as such.
 */
export class KeyConflicts {
  readonly #names: ConflictNames;
  readonly #content: SameContent;
  readonly #onConflict: OnConflict;

  constructor(names: ConflictNames, content: SameContent, onConflict: OnConflict) {
    this.#names = names;
    this.#content = content;
    this.#onConflict = onConflict;
  }

  /**
   * Counts and lists the keys that need nothing more; answers which are to be replaced now, by their index. They are
   * listed, and count when they are.
   */
  async judge(conflicts: readonly Conflict[], tally: Tally): Promise<number[]> {
    const doubtful = conflicts.filter((conflict) => conflict.doubtful);
    const same = doubtful.length === 0 ? [] : await this.#content.ofAll(doubtful);
    const sameOf = new Map(doubtful.map((conflict, i) => [conflict, same[i]!]));
    const toReplace: number[] = [];
    for (const [i, conflict] of conflicts.entries()) {
      const listed = conflict.doubtful && this.#names.has(conflict.db, conflict.key);
      const equal = sameOf.get(conflict) ?? false;
      if (this.#onConflict === 'keep-live') {
        if (equal && !listed) tally.restored++;
        else {
          tally.kept++;
          if (!listed) this.#names.add(conflict.db, conflict.key, 'kept');
        }
      } else if (equal) {
        tally[listed ? 'replaced' : 'restored']++;
      } else {
        if (!listed) this.#names.add(conflict.db, conflict.key, 'replaced');
        toReplace.push(i);
      }
    }
    this.#names.flush();
    return toReplace;
  }

  /** The same for keys of a batch none of which an attempt before can have put: at once. */
  judgeNow(batch: Batch, memory: WorkMemory): readonly number[] {
    const { busy, db, tally } = batch;
    const outcome = this.#onConflict === 'keep-live' ? 'kept' : 'replaced';
    for (const number of busy) this.#names.add(db, batch.key(memory.bytes, number), outcome);
    this.#names.flush();
    if (outcome === 'replaced') return busy;
    tally.kept += busy.length;
    return [];
  }
}
