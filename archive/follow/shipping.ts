import type { RewindError } from '../../errors/rewind-error.ts';
import type { BaseShipping } from './base-shipping.ts';
import { type Course, recordOf } from './course.ts';
import type { EventRecords } from './event-records.ts';
import type { FileSwitches } from './file-switches.ts';
import type { Boundary } from './file-tail.ts';
import type { GoingOn } from './going-on.ts';
import type { HeldFile, HeldFiles } from './held-files.ts';
import { LookAgain } from './look-again.ts';
import type { Looks } from './looks.ts';
import { nextFile, successors } from './next-file.ts';
import type { PatientStore } from './patient-store.ts';
import { SegmentMaker } from './ready-segment.ts';
import type { SameFiles } from './same-files.ts';
import type { ServerWatch } from './server-watch.ts';
import { shipSegment } from './ship-segment.ts';
import type { Spool } from './spool.ts';
import { takenOver } from './store-records.ts';
import type { Stretch } from './stretch.ts';
import type { Telling } from './telling.ts';

export interface ShippingParts {
  readonly server: ServerWatch;
  readonly sameFiles: SameFiles;
  readonly switches: FileSwitches;
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
  readonly #segments: SegmentMaker;
  #idle = false;
  /** Settles when the segment at hand is stored, and what is to be said of it. */
  #putting: Promise<void> | undefined;
  #putFailed: { readonly error: unknown } | undefined;

  constructor(course: Course, parts: ShippingParts) {
    this.#course = course;
    this.#parts = parts;
    this.#segments = new SegmentMaker(course.context.repository);
  }

  /** True where every whole command that is on the disk was shipped at the last look. */
  get idle(): boolean {
    return this.#idle;
  }

  /**
   * Ships until the signal, or, where only the tail is meant, until nothing more is there. One segment is stored at a time, so
   * that none is ever there without the one before it; what comes meanwhile is read, and is the next one.
   *
   * @throws LookAgain
   */
  async run(): Promise<void> {
    try {
      while (await this.#turn());
    } finally {
      await this.#putting;
      this.#putting = undefined;
      this.#putFailed = undefined;
    }
  }

  /** @returns false at the end */
  async #turn(): Promise<boolean> {
    const { io, options, tailOnly } = this.#course;
    const { looks, bases, events, spool, held } = this.#parts;
    const stretch = this.#course.stretch!;
    if (this.#putFailed) throw this.#putFailed.error;
    bases.queue();
    const stopping = this.#parts.stopped();
    const { ended, next } = nextFile(stretch.file, looks, held);
    if (stopping || ended) await looks.mark(stretch.file);
    const step = looks.stepIn(stretch.file);
    const limit = step ? Math.max(step.upTo, stretch.from.offset) : stretch.marks.upTo;
    if ((await stretch.file.handle.stat()).size < stretch.tail.readTo) throw new LookAgain();
    const more = await stretch.read(limit);
    const { damage, unshippedBytes } = stretch;
    const seen = stretch.marks.seenAt(stretch.from.offset);
    const age = seen === undefined ? 0 : options.now() - seen;
    this.#tell(stretch, seen);
    const full = stretch.tail.readTo - stretch.from.offset >= options.segmentBytes;
    const due = full || age >= options.segmentMs || age < 0;
    const whole = !more && (stopping || ended || step !== undefined || damage !== undefined);
    if (!this.#putting && unshippedBytes > 0 && (due || whole)) {
      this.#beginPut(stretch);
      return true;
    }
    if (more && !(stopping && io.signal.aborted)) return true;
    if (this.#putting) {
      await Promise.race([this.#putting, looks.next()]);
    } else if (step) {
      looks.dealtWith(step);
      stretch.marks.shipped(step.upTo);
      await events.clock(step, stretch.fileStart + stretch.from.offset);
    } else if (stopping && !(tailOnly && ended)) {
      return false;
    } else if (ended) {
      await this.#leave(stretch, next);
    } else {
      if (damage) await this.#lookAtDamage(stretch, damage);
      this.#idle = unshippedBytes === 0;
      // A mass removal is known for one when its time is over, which nothing else may come after: writes are fenced, say.
      await events.destructive(stretch.fileStart, stretch.finder.takeBefore(stretch.from.offset));
      await looks.next();
      this.#idle &&= stretch.marks.upTo === stretch.tail.readTo;
    }
    if (spool.dropped && !held.has(stretch.file)) throw new LookAgain();
    return true;
  }

  /** The server may have cut off a torn end and gone on: then it reads well from the last whole command on. */
  async #lookAtDamage({ file }: Stretch, damage: RewindError): Promise<never> {
    this.#parts.telling.say('damaged', `${file.name}: ${damage.message}`);
    await this.#parts.looks.next(this.#course.options.askMs);
    throw new LookAgain();
  }

  /** All of a file is shipped, and the server appends to another one. */
  async #leave({ file, fileStart, from, marks, finder }: Stretch, paired: HeldFile | undefined): Promise<void> {
    const { events, looks, goingOn, spool } = this.#parts;
    await events.destructive(fileStart, finder.takeAll());
    const next = paired ?? (await this.#unpaired(file));
    if (!next || from.offset < marks.upTo) {
      looks.exhausted.add(file.id);
      throw new LookAgain();
    }
    this.#course.before = file;
    await goingOn.open({ file: next, offset: 0, db: 0 }, fileStart + from.offset, this.#course.previous);
    await spool.letGo();
  }

  /** A rewrite that was over between two looks; asked now, for what was said before its file was there proves nothing. */
  async #unpaired(file: HeldFile): Promise<HeldFile | undefined> {
    const { held, sameFiles, switches } = this.#parts;
    const all = successors(file, held);
    const signs = all.length > 0 ? await sameFiles.ask() : undefined;
    return all.find((each) => switches.goesOn(file, each, this.#course.place, signs));
  }

  #beginPut(stretch: Stretch): void {
    this.#putting = this.#put(stretch, stretch.nextCut())
      .catch((error) => {
        this.#putFailed = { error };
      })
      .finally(() => {
        this.#putting = undefined;
      });
  }

  async #put(stretch: Stretch, end: Boundary): Promise<void> {
    const course = this.#course;
    const { server, store, events, spool, telling } = this.#parts;
    const signs = await server.known(course.options.askMs);
    if (signs) {
      course.signs = signs;
      // Another process may have another file under this name.
      if (signs.runId !== course.comparedWith) throw new LookAgain();
    }
    const runId = course.comparedWith ?? course.place.runId;
    await shipSegment(
      stretch,
      end,
      course,
      { ...recordOf(course), runId, now: course.options.now },
      {
        ...{ segments: this.#segments, store, telling },
        collided: (key) => takenOver(`${key} is there already with other bytes`),
      },
    );
    const { before } = course;
    course.before = undefined;
    if (before) await spool.letGo();
    await events.destructive(stretch.fileStart, stretch.finder.takeBefore(end.offset));
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
