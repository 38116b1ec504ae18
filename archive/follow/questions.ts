import { setTimeout as sleep } from 'node:timers/promises';
import { checkIdentity } from '../../backup/identity-check.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { type Course, remember, rememberFile } from './course.ts';
import type { FileSwitches } from './file-switches.ts';
import type { SameFiles } from './same-files.ts';
import type { ServerSigns } from './server-watch.ts';
import type { Spool } from './spool.ts';
import { refuseRival } from './tip.ts';

export const replicationIdsOf = ({ replicationId, previousId }: ServerSigns): string[] => [
  replicationId,
  ...(previousId === undefined ? [] : [previousId]),
];

/** What is asked every second: the server who it is, the disk what is held on it, the store whether another agent is there. */
export class Questions {
  readonly #course: Course;
  readonly #server: SameFiles;
  readonly #spool: Spool;
  readonly #switches: FileSwitches;
  /** The replication id that the identity in the repository has. */
  #knownBy: string | undefined;
  #lookedForRivalAt = Date.now();

  constructor(course: Course, server: SameFiles, spool: Spool, switches: FileSwitches) {
    this.#course = course;
    this.#server = server;
    this.#spool = spool;
    this.#switches = switches;
  }

  /** Until the signal. @throws ARCHIVE_NOT_POSSIBLE, ARCHIVE_FILES_LEFT, ARCHIVE_TAKEN_OVER, IDENTITY_REFUSED, REDIS_REFUSED_LOGIN */
  async run(signal: AbortSignal): Promise<void> {
    const course = this.#course;
    while (!signal.aborted) {
      const signs = await this.#server.ask();
      if (signs) {
        const expired = course.signs && Math.max(0, signs.expiredKeys - course.signs.expiredKeys);
        if (expired !== undefined) course.stretch?.finder.dataSet(signs.keys, expired);
        course.signs = signs;
        if (course.stretch) await rememberFile(course, course.stretch.file, this.#switches);
      }
      if (course.unremembered !== undefined) await remember(course);
      await this.#knowAgain();
      await this.#spool.keepWithinLimit();
      await this.#lookForRival();
      await sleep(course.options.askMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** A server's replication id changes as it goes on: by the one that it had last a promoted replica is known. */
  async #knowAgain(): Promise<void> {
    const { context, signs } = this.#course;
    if (!signs || signs.replicationId === this.#knownBy) return;
    try {
      await checkIdentity(context, replicationIdsOf(signs));
      this.#knownBy = signs.replicationId;
    } catch (error) {
      // A store that is down is asked again at the next look.
      if (error instanceof RewindError && error.code === 'IDENTITY_REFUSED') throw error;
    }
  }

  /** Another agent on another host. @throws ARCHIVE_TAKEN_OVER */
  async #lookForRival(): Promise<void> {
    const { context, timeline, options } = this.#course;
    if (!timeline || Date.now() - this.#lookedForRivalAt < options.rivalMs) return;
    this.#lookedForRivalAt = Date.now();
    await refuseRival(context.repository, context.policy.instance, this.#course);
  }
}
