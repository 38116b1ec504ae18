import { type Course, recordOf } from './course.ts';
import type { HeldFile } from './held-files.ts';
import { LookAgain } from './look-again.ts';
import type { Looks } from './looks.ts';
import type { PatientStore } from './patient-store.ts';
import type { Spool } from './spool.ts';
import { storeBase } from './store-records.ts';
import type { Telling } from './telling.ts';

/** Ships bases beside the segments. */
export class BaseShipping {
  readonly #course: Course;
  readonly #looks: Looks;
  readonly #store: PatientStore;
  readonly #spool: Spool;
  readonly #telling: Telling;
  /** Positions at which incrs begin, by ids. */
  readonly #starts = new Map<string, number>();
  /** Positions of those in the store. */
  #stored = new Set<number>();
  #task: Promise<void> | undefined;
  #failed: unknown;

  constructor(course: Course, looks: Looks, store: PatientStore, spool: Spool, telling: Telling) {
    this.#course = course;
    this.#looks = looks;
    this.#store = store;
    this.#spool = spool;
    this.#telling = telling;
  }

  /** @throws what storing one has failed with */
  check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Settles when none is being stored; never rejects. */
  get ended(): Promise<void> {
    return this.#task ?? Promise.resolve();
  }

  /** @param stored positions of the timeline's bases */
  ofTimeline(stored: ReadonlySet<number>): void {
    this.#stored = new Set(stored);
  }

  begins(file: HeldFile, position: number): void {
    this.#starts.set(file.id, position);
  }

  forgetBegins(): void {
    this.#starts.clear();
  }

  /** A base that was not stored yet may belong to an incr before the one at hand. */
  beginsOfManifest(): void {
    const { stretch } = this.#course;
    const incrs = this.#looks.files?.incrs ?? [];
    const at = incrs.findIndex(({ id }) => id === stretch?.file.id);
    let start = stretch!.fileStart;
    for (const file of incrs.slice(0, Math.max(0, at)).reverse()) {
      start -= this.#looks.logOf(file).upTo;
      this.begins(file, start);
    }
  }

  /** Stores the base of a rewrite beside the segments; one at a time, and of several that wait only the newest. */
  queue(): void {
    const { base, incrs } = this.#looks.files ?? {};
    const position = incrs?.[0] && this.#starts.get(incrs[0].id);
    if (!base || position === undefined || this.#task) return;
    if (position < this.#course.timeline!.start || this.#stored.has(position)) return;
    this.#task = this.store(base, position)
      .then(() => undefined)
      .catch((error) => {
        if (!(error instanceof LookAgain) && !this.#course.io.signal.aborted) this.#failed ??= error;
      })
      .finally(() => {
        this.#task = undefined;
      });
  }

  /** @returns false where nothing can be stored at the position */
  async store(base: HeldFile, position: number): Promise<boolean> {
    if (this.#stored.has(position)) return true;
    const { signs, timeline, io, context } = this.#course;
    const { name, version, runId, replicationId } = signs ?? { ...timeline!.server };
    const record = {
      ...recordOf(this.#course),
      position,
      timeMs: Math.floor((await base.handle.stat()).mtimeMs),
      server: { name, version, runId, ...(replicationId === undefined ? {} : { replicationId }) },
    };
    this.#spool.storing = base;
    const { signal } = io;
    const stored = await this.#store
      .until(() => storeBase(context.repository, base, record, { signal }))
      .finally(() => {
        this.#spool.storing = undefined;
      });
    this.#stored.add(position);
    if (!stored) return false;
    this.#telling.count('bases');
    await this.#spool.letGo();
    return true;
  }
}
