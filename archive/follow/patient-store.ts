import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import type { Course } from './course.ts';
import { LookAgain } from './look-again.ts';
import type { Telling } from './telling.ts';

/** What no patience mends. */
const final = ['OBJECT_EXISTS', 'ARCHIVE_TAKEN_OVER', 'ARCHIVE_FOREIGN', 'IDENTITY_REFUSED'];

/** Asks the store until it does what it is asked, whatever it says. */
export class PatientStore {
  readonly #course: Pick<Course, 'io' | 'options' | 'tailOnly'>;
  readonly #telling: Telling;
  readonly #dropped: () => boolean;

  /** @param dropped whether what is to be stored was let go of meanwhile */
  constructor(course: Pick<Course, 'io' | 'options' | 'tailOnly'>, telling: Telling, dropped: () => boolean) {
    this.#course = course;
    this.#telling = telling;
    this.#dropped = dropped;
  }

  /**
   * @throws LookAgain where it was let go of; of two agents one is told to stop; with `tailOnly`, and after the signal, the
   *   store's first error
   */
  async until<T>(step: () => Promise<T>): Promise<T> {
    const { io, options, tailOnly } = this.#course;
    for (let wait = options.retryMs; ; wait = Math.min(options.retryMostMs, wait * 2)) {
      try {
        const result = await step();
        if (this.#telling.figures.state === 'store') this.#telling.say('following');
        return result;
      } catch (error) {
        if (!(error instanceof RewindError) || final.includes(error.code) || /^ARCHIVE_(REC|SEG)/.test(error.code)) {
          throw error;
        }
        if (io.signal.aborted || tailOnly) throw error;
        this.#telling.say('store', `${error.code}: ${error.message}`);
        await sleep(wait, undefined, { signal: io.signal });
        if (this.#dropped()) throw new LookAgain();
      }
    }
  }
}
