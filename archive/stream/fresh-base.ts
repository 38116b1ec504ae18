import { createWriteStream } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { receiveDump } from '../../redis/psync.ts';
import { readBase } from '../read/records.ts';
import { storeDump } from './store-dump.ts';
import type { StreamCourse } from './stream-course.ts';
import type { Seam } from './stream-run.ts';

/** When a stream gets another base, from which its newer moments are replayed. */
export interface BaseRules {
  /** As much has to be shipped since the last one as that has, and so much. */
  readonly growthBytes: number;
  /** Not sooner after the last one … */
  readonly soonestMs: number;
  /** … and, where anything was written, not later. */
  readonly latestMs: number;
}

export const baseRules: BaseRules = {
  growthBytes: 64 * 1024 * 1024,
  soonestMs: 3_600_000,
  latestMs: 86_400_000,
};

/** Nothing is cut for so long at most while the server begins its save: `repl-diskless-sync-delay` is 5 s. */
const heldMs = 30_000;
/** After one that did not come about. */
const againMs = 600_000;

/**
 * Has the server save once more, over a second link that is for the dump alone, and stores that as a base in the middle of the
 * stream: Redis says at which offset it stands. Without it the first base would be needed for ever.
 */
export class FreshBase {
  readonly #course: StreamCourse;
  readonly #rules: BaseRules;
  #last: { timeline: number; position: number; sizeBytes: number; timeMs: number } | undefined;
  #notBefore = 0;
  #task: Promise<void> | undefined;

  constructor(course: StreamCourse, rules: BaseRules) {
    this.#course = course;
    this.#rules = rules;
  }

  /** Looks whether one is due, and begins it. */
  look(signal: AbortSignal): void {
    if (this.#task || performance.now() < this.#notBefore) return;
    this.#task = this.#take(signal)
      .catch(() => {
        // The archive goes on without it.
        this.#notBefore = performance.now() + againMs;
      })
      .finally(() => {
        delete this.#course.heldAt;
        this.#course.session.spool.tellGrown();
        this.#task = undefined;
      });
  }

  async ended(): Promise<void> {
    await this.#task;
  }

  async #take(signal: AbortSignal): Promise<void> {
    const course = this.#course;
    const { run, session } = course;
    if (!run || !course.stretch || session.receiver.state !== 'receiving' || !(await this.#due())) return;
    course.heldAt = run.end.offset;
    const { replId } = run.end;
    const held = course.heldAt;
    const beginning = AbortSignal.any([signal, AbortSignal.timeout(heldMs)]);
    const dump = await receiveDump(await session.locate(), { signal: beginning });
    const path = join(session.spool.folder, 'base.rdb.part');
    try {
      const timeMs = session.now();
      // It joined the save for another replica, or this is another server by now.
      const waits = run.seams.some((each) => !course.crossed.has(each));
      if (dump.replId !== replId || run.end.replId !== replId || dump.offset < held || waits || course.run !== run) {
        throw new Error('the dump stands for no place that is still to be cut at');
      }
      const seam: Seam & { kind: 'base' } = { kind: 'base', offset: dump.offset };
      run.seams.push(seam);
      delete course.heldAt;
      session.spool.tellGrown();
      await pipeline(dump.chunks, createWriteStream(path, { mode: 0o600 }), { signal });
      while (!course.crossed.has(seam)) {
        signal.throwIfAborted();
        if (course.run !== run) throw new Error('the stream broke before it');
        await session.spool.grown;
      }
      const since = run.seams.slice(run.seams.indexOf(seam) + 1);
      if (since.some(({ kind, offset }) => kind === 'history' && offset < seam.offset)) {
        throw new Error('what came up to there was sent by another server');
      }
      if (seam.position === undefined) throw new Error('the stream could not be cut there');
      const at = { position: seam.position, timeMs, replication: { replId, offset: dump.offset } };
      const base = await storeDump(course, { path, open: () => open(path, 'r') }, at, course.signs!);
      if (!base) throw new Error('an unfinished base stands there');
      this.#last = { timeline: base.timeline, position: base.position, sizeBytes: base.sizeBytes, timeMs };
    } finally {
      dump.close();
      await unlink(path).catch(() => undefined);
    }
  }

  async #due(): Promise<boolean> {
    const { timeline, position, context, session, lastBase } = this.#course;
    if (!timeline || !lastBase || lastBase.timeline !== timeline.timeline) return false;
    if (this.#last?.timeline !== lastBase.timeline || this.#last.position < lastBase.position) {
      const place = { repository: context.repository, instance: context.policy.instance };
      const { sizeBytes, timeMs } = await readBase(place, lastBase.timeline, lastBase.position);
      this.#last = { ...lastBase, sizeBytes, timeMs };
    }
    const written = position - this.#last.position;
    const age = session.now() - this.#last.timeMs;
    const { growthBytes, soonestMs, latestMs } = this.#rules;
    if (written === 0 || age < soonestMs) return false;
    return age >= latestMs || written >= Math.max(growthBytes, this.#last.sizeBytes);
  }
}
