import { RewindError } from '../../errors/rewind-error.ts';
import type { BaseShipping } from './base-shipping.ts';
import { type Course, recordOf } from './course.ts';
import type { EventRecords } from './event-records.ts';
import type { Boundary } from './file-tail.ts';
import type { GoingOn } from './going-on.ts';
import type { HeldFile, HeldFiles } from './held-files.ts';
import { LookAgain } from './look-again.ts';
import type { Looks } from './looks.ts';
import { nextFile } from './next-file.ts';
import type { PatientStore } from './patient-store.ts';
import type { ServerWatch } from './server-watch.ts';
import type { Spool } from './spool.ts';
import { readySegment, takenOver } from './store-records.ts';
import type { Stretch } from './stretch.ts';
import type { Telling } from './telling.ts';

export interface ShippingParts {
  readonly server: ServerWatch;
  readonly held: HeldFiles;
  readonly looks: Looks;
  readonly store: PatientStore;
  readonly bases: BaseShipping;
  readonly events: EventRecords;
  readonly spool: Spool;
  readonly goingOn: GoingOn;
  readonly telling: Telling;
  /** @throws what something beside has failed with; true where it is time to end */
  readonly stopped: () => boolean;
}

/** Ships file after file, segment after segment. */
export class Shipping {
  readonly #course: Course;
  readonly #parts: ShippingParts;
  #idle = false;

  constructor(course: Course, parts: ShippingParts) {
    this.#course = course;
    this.#parts = parts;
  }

  /** True where every whole command that is on the disk was shipped at the last look. */
  get idle(): boolean {
    return this.#idle;
  }

  /** Returns on the signal, or with nothing more to ship where only the tail is meant. @throws LookAgain */
  async run(): Promise<void> {
    const { io, options, tailOnly } = this.#course;
    const { looks, bases, events, spool, held } = this.#parts;
    for (;;) {
      const stretch = this.#course.stretch!;
      bases.queue();
      const stopping = this.#parts.stopped();
      const { ended, next } = nextFile(stretch.file, this.#course, looks, held);
      if (stopping || ended) await looks.mark(stretch.file);
      const step = looks.stepIn(stretch.file);
      const limit = step ? Math.max(step.upTo, stretch.from.offset) : stretch.marks.upTo;
      if ((await stretch.file.handle.stat()).size < stretch.tail.readTo) throw new LookAgain();
      const { more, damage } = await this.#read(stretch, limit);
      const cut = stretch.tail.boundary();
      const unshipped = cut.offset - stretch.from.offset;
      const seen = stretch.marks.seenAt(stretch.from.offset);
      const age = seen === undefined ? 0 : options.now() - seen;
      this.#tell(stretch, seen);
      const full = stretch.tail.readTo - stretch.from.offset >= options.segmentBytes;
      const due = full || age >= options.segmentMs || age < 0;
      if (unshipped > 0 && (due || (!more && (stopping || ended || step || damage)))) {
        await this.#cut(stretch, cut);
        continue;
      }
      if (more && !(stopping && io.signal.aborted)) continue;
      if (step) {
        looks.dealtWith(step);
        stretch.marks.shipped(step.upTo);
        await events.clock(step, stretch.fileStart + stretch.from.offset);
        continue;
      }
      if (stopping && !(tailOnly && ended)) return;
      if (ended) {
        await this.#leave(stretch, next);
        continue;
      }
      if (damage) await this.#lookAtDamage(stretch, damage);
      this.#idle = unshipped === 0;
      await looks.next();
      this.#idle &&= stretch.marks.upTo === stretch.tail.readTo;
      if (spool.dropped && !held.has(stretch.file)) throw new LookAgain();
    }
  }

  /** Reads up to a segment's length. @returns whether more is there, or why it cannot be read */
  async #read({ tail, from }: Stretch, limit: number): Promise<{ more: boolean; damage?: RewindError }> {
    try {
      const wanted = from.offset + this.#course.options.segmentBytes;
      // A command that is longer than a segment is read to its end.
      while (tail.readTo < wanted || tail.boundary().offset === from.offset) {
        if (!(await tail.readOn(tail.readTo < wanted ? Math.min(limit, wanted) : limit))) break;
      }
      return { more: tail.readTo < limit };
    } catch (error) {
      if (error instanceof RewindError && error.code === 'AOF_CORRUPT') return { more: false, damage: error };
      throw error;
    }
  }

  /** The server may have cut off a torn end and gone on: then it reads well from the last whole command on. */
  async #lookAtDamage({ file }: Stretch, damage: RewindError): Promise<never> {
    this.#parts.telling.say('damaged', `${file.name}: ${damage.message}`);
    await this.#parts.looks.next(this.#course.options.askMs);
    throw new LookAgain();
  }

  /** All of a file is shipped, and the server appends to another one. */
  async #leave({ file, fileStart, from, marks, finder }: Stretch, next: HeldFile | undefined): Promise<void> {
    const { events, looks, goingOn, spool } = this.#parts;
    await events.destructive(fileStart, finder.takeAll());
    if (!next || from.offset < marks.upTo) {
      looks.exhausted.add(file.id);
      throw new LookAgain();
    }
    this.#course.before = file;
    await goingOn.open({ file: next, offset: 0, db: 0 }, fileStart + from.offset, this.#course.previous);
    await spool.letGo();
  }

  async #cut(stretch: Stretch, end: Boundary): Promise<void> {
    const course = this.#course;
    const { server, store, events, spool, telling } = this.#parts;
    const signs = await server.ask();
    if (signs) {
      course.signs = signs;
      // Another process may have another file under this name.
      if (signs.runId !== course.comparedWith) throw new LookAgain();
    }
    const { from, fileStart, marks, file } = stretch;
    const stamps = stretch.stamps.filter(([, offset]) => offset < end.offset).map(([seconds]) => seconds);
    const known = marks.upToEnd(end.offset);
    const seen = known.length > 0 ? known : [[course.options.now(), end.offset] as const];
    const times = seen.map(([ms]) => ms);
    const ready = await readySegment(course.context.repository, file, {
      ...recordOf(course),
      start: fileStart + from.offset,
      end: fileStart + end.offset,
      file: { name: file.name, offset: from.offset },
      db: from.db,
      commands: end.commands - from.commands,
      firstMs: Math.min(...times),
      lastMs: Math.max(...times),
      marks: seen.map(([ms, upTo]) => [ms, fileStart + upTo]),
      ...(stamps.length === 0 ? {} : { stamps: { first: Math.min(...stamps), last: Math.max(...stamps) } }),
      previous: course.previous,
      ...(from.transactionAt === undefined ? {} : { transactionAt: fileStart + from.transactionAt }),
      runId: course.comparedWith ?? course.place.runId,
    });
    if (!ready) throw new LookAgain();
    await store
      .until(() => ready.store(AbortSignal.timeout(patienceMs)))
      .catch((error) => {
        if (error instanceof RewindError && error.code === 'OBJECT_EXISTS') {
          throw takenOver(`${ready.key} is there already with other bytes`);
        }
        throw error;
      });
    const { header } = ready;
    stretch.from = end;
    stretch.stamps = stretch.stamps.filter(([, offset]) => offset >= end.offset);
    marks.shipped(end.offset);
    course.previous = ready.digest;
    course.position = header.end;
    course.lastMs = header.lastMs;
    telling.count('segments');
    telling.count('shippedBytes', header.end - header.start);
    const { before } = course;
    course.before = undefined;
    if (before) await spool.letGo();
    await events.destructive(fileStart, stretch.finder.takeBefore(end.offset));
  }

  #tell(stretch: Stretch, seen: number | undefined): void {
    const { signs, timeline, position, options } = this.#course;
    this.#parts.telling.look(signs?.aofOn === false, {
      timeline: timeline!.timeline,
      position,
      unshippedBytes: Math.max(0, stretch.marks.upTo - stretch.from.offset),
      lagMs: seen === undefined ? 0 : Math.max(0, options.now() - seen),
    });
  }
}

/** So long one attempt to store a segment may take, whatever its size. */
const patienceMs = 600_000;
