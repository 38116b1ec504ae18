import { setTimeout as sleep } from 'node:timers/promises';
import type { Boundary } from '../follow/file-tail.ts';
import { LookAgain } from '../follow/look-again.ts';
import { SegmentMaker } from '../follow/ready-segment.ts';
import { shipSegment } from '../follow/ship-segment.ts';
import { takenOver } from '../follow/store-records.ts';
import type { Stretch } from '../follow/stretch.ts';
import { recordDestructive, recordEvent, recordOf, type StreamCourse } from './stream-course.ts';
import { tellFigures } from './stream-figures.ts';
import type { StreamGoesOn } from './stream-goes-on.ts';
import type { Seam, StreamRun } from './stream-run.ts';

/** Nothing but PINGs is worth an object only when there are so many. */
const pingBytes = 16 * 1024;
/** A process that was killed may have stored one segment that nobody knows of; who meets two within so long has a rival. */
const rivalMs = 60_000;

/** Ships what the spool holds, run after run, segment after segment. */
export class StreamShipping {
  readonly #course: StreamCourse;
  readonly #goesOn: StreamGoesOn;
  readonly #stopped: () => boolean;
  readonly #segments: SegmentMaker;
  #idle = false;
  #collidedAt = Number.NEGATIVE_INFINITY;

  /** @param stopped throws what something beside has failed with; true where it is time to end */
  constructor(course: StreamCourse, goesOn: StreamGoesOn, stopped: () => boolean) {
    this.#course = course;
    this.#goesOn = goesOn;
    this.#stopped = stopped;
    this.#segments = new SegmentMaker(course.context.repository);
  }

  /** True where every whole command that has come was shipped at the last look. */
  get idle(): boolean {
    return this.#idle;
  }

  /** Returns on the signal, or at the end of a run. @throws LookAgain */
  async run(): Promise<void> {
    const { options, session } = this.#course;
    const run = this.#course.run!;
    for (;;) {
      const stretch = this.#course.stretch!;
      const stopping = this.#stopped();
      const { grown } = session.spool;
      const seam = nextSeam(run, this.#course.crossed);
      const ended = !seam && session.spool.runs.length > 1;
      const limit = seam?.offset ?? run.end.offset;
      const more = await this.#read(stretch, Math.min(limit, this.#course.heldAt ?? limit));
      const cut = stretch.tail.boundary();
      const unshipped = cut.offset - stretch.from.offset;
      const seen = run.marks.seenAt(stretch.from.offset);
      const age = seen === undefined ? 0 : options.now() - seen;
      tellFigures(this.#course);
      const meant = seen !== undefined || unshipped >= pingBytes;
      const full = stretch.tail.readTo - stretch.from.offset >= options.segmentBytes;
      const due = full || (meant && (age >= options.segmentMs || age < 0));
      if (unshipped > 0 && (due || (!more && (seam || ended || (stopping && meant))))) {
        await this.#cut(stretch, run, cut);
        continue;
      }
      if (more && !stopping) continue;
      if (stopping) return;
      if (seam) {
        await this.#cross(stretch, run, seam);
        continue;
      }
      if (ended) {
        await recordDestructive(this.#course, stretch.fileStart, stretch.finder.takeAll());
        await session.spool.leave(run);
        return;
      }
      // As with a file: a mass removal is over with its time, also where nothing comes after it.
      await recordDestructive(this.#course, stretch.fileStart, stretch.finder.takeBefore(stretch.from.offset));
      this.#idle = !meant || unshipped === 0;
      const wait = seen === undefined ? options.askMs : Math.max(1, options.segmentMs - age);
      await Promise.race([grown, sleep(Math.min(wait, options.askMs))]);
      this.#idle &&= run.end.offset === stretch.tail.readTo;
    }
  }

  /** Reads up to a segment's length. @returns whether more is there @throws AOF_CORRUPT */
  async #read({ tail, from }: Stretch, limit: number): Promise<boolean> {
    const wanted = from.offset + this.#course.options.segmentBytes;
    // A command that is longer than a segment is read to its end.
    while (tail.readTo < wanted || tail.boundary().offset === from.offset) {
      if (!(await tail.readOn(tail.readTo < wanted ? Math.min(limit, wanted) : limit))) break;
    }
    return tail.readTo < limit;
  }

  async #cross({ fileStart, from }: Stretch, run: StreamRun, seam: Seam): Promise<void> {
    const course = this.#course;
    if (seam.kind === 'history') return this.#goesOn.crossHistory(seam);
    if (seam.kind === 'base') {
      if (from.offset === seam.offset) seam.position = course.position;
      course.crossed.add(seam);
      course.session.spool.tellGrown();
      return;
    }
    course.crossed.add(seam);
    run.marks.shipped(seam.offset);
    const position = fileStart + from.offset;
    await recordEvent(course, { kind: 'clock', position, timeMs: seam.fromMs, toMs: seam.toMs });
  }

  async #cut(stretch: Stretch, run: StreamRun, end: Boundary): Promise<void> {
    const course = this.#course;
    await shipSegment(
      stretch,
      end,
      course,
      { ...recordOf(course), runId: course.runId, now: course.options.now },
      {
        ...{ segments: this.#segments, store: course.store, telling: course.telling },
        collided: (key) => this.#collided(key),
      },
    );
    await run.release(end.offset);
    await recordDestructive(course, stretch.fileStart, stretch.finder.takeBefore(end.offset));
  }

  #collided(key: string): Error {
    const before = this.#collidedAt;
    this.#collidedAt = performance.now();
    if (this.#collidedAt - before < rivalMs) return takenOver(`${key} is there already with other bytes`);
    return new LookAgain();
  }
}

/**
 * The first of what has come that is not behind what is shipped. A base may have been asked for at a place that never comes,
 * where the link broke before it.
 */
function nextSeam({ seams, end }: StreamRun, crossed: ReadonlySet<Seam>): Seam | undefined {
  const [first] = seams
    .filter((seam) => !crossed.has(seam) && seam.offset <= end.offset)
    .sort((a, b) => a.offset - b.offset);
  return first;
}
