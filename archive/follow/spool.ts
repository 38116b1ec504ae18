import type { Course } from './course.ts';
import type { HeldFile, HeldFiles } from './held-files.ts';
import type { Looks } from './looks.ts';
import type { Telling } from './telling.ts';

/** What is held on the disk because it is not in the store: lets go of what is, and of everything where it becomes too much. */
export class Spool {
  readonly #course: Course;
  readonly #held: HeldFiles;
  readonly #looks: Looks;
  readonly #telling: Telling;
  /** A base that is being stored. */
  storing: HeldFile | undefined;
  /** Something was let go of since it was last found out where to go on. */
  dropped = false;

  constructor(course: Course, held: HeldFiles, looks: Looks, telling: Telling) {
    this.#course = course;
    this.#held = held;
    this.#looks = looks;
    this.#telling = telling;
  }

  /** Beyond the limit everything goes that only we hold: what comes then begins with the base that is there now. */
  async keepWithinLimit(): Promise<void> {
    const { spoolBytes } = this.#course.options;
    const ours = await this.#held.onlyOurs();
    const heldBytes = ours.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#telling.held(heldBytes);
    if (heldBytes <= spoolBytes) return;
    for (const { file } of ours) await this.#held.release(file);
    this.dropped = true;
    this.#telling.count('dropped');
    this.#telling.say('store', `more than ${spoolBytes} bytes were held for a store that did not take them: let go`);
  }

  /** Lets go of what is shipped and is no part of the server's data any more. */
  async letGo(): Promise<void> {
    const { base, incrs = [] } = this.#looks.files ?? {};
    const at = this.#course.stretch?.file;
    // As long as it is not known where to go on, anything may be needed.
    if (!at) return;
    const needed = new Set([base, at, this.#course.before, this.storing, ...incrs].map((file) => file?.id));
    for (const file of this.#held.all()) {
      if (needed.has(file.id) || (file.type === 'incr' && file.seq > at.seq)) continue;
      await this.#held.release(file);
      this.#looks.forget(file);
    }
  }
}
