import { setTimeout as sleep } from 'node:timers/promises';
import { checkIdentity } from '../../backup/identity-check.ts';
import { addressOf } from '../../redis/connection.ts';
import { readIdentity } from '../../repository/identity.ts';
import { beginTimeline, startBehind } from '../follow/begin-timeline.ts';
import type { HeldFile } from '../follow/held-files.ts';
import { LookAgain } from '../follow/look-again.ts';
import { notes, ownReason } from '../follow/own-word.ts';
import { replicationIdsOf } from '../follow/questions.ts';
import { takenOver } from '../follow/store-records.ts';
import { finderOf, Stretch, seenIn } from '../follow/stretch.ts';
import { readTip, refuseOther, type Tip } from '../follow/tip.ts';
import { readHeaderAt } from '../read/chain.ts';
import { listArchive } from '../read/listing.ts';
import type { TimelineRecord } from '../records.ts';
import { type AfterResync, afterResync } from './after-resync.ts';
import { walkStored } from './last-segment.ts';
import type { PrimarySigns } from './primary-watch.ts';
import { storeDump } from './store-dump.ts';
import { recordDestructive, recordEvent, type StreamCourse } from './stream-course.ts';
import { historyAtTip, placeAtTip, streamName } from './stream-place.ts';
import type { Seam, SpooledDump, StreamRun } from './stream-run.ts';
import { reaches } from './stream-spool.ts';

/** Finds where the archive of a stream goes on, begins there, and says in the store what that means. */
export class StreamGoesOn {
  readonly #course: StreamCourse;

  constructor(course: StreamCourse) {
    this.#course = course;
  }

  /** @returns false where nothing has come yet @throws LookAgain, ARCHIVE_TAKEN_OVER, IDENTITY_REFUSED */
  async begin(): Promise<boolean> {
    const course = this.#course;
    const { session, store, context } = course;
    const [run] = session.spool.runs;
    if (!run) return false;
    const { repository, policy } = context;
    const tip = await store.until(() => readTip(repository, policy.instance, session.identity));
    if (tip) refuseOther(tip, course);
    course.run = run;
    if (tip) {
      course.timeline = tip.timeline;
      course.lastMs = tip.last?.header.lastMs ?? tip.timeline.startedMs;
      course.runId = tip.last?.header.runId ?? tip.timeline.server.runId;
    }
    const place = tip && (await store.until(() => placeAtTip(repository, policy.instance, tip)));
    if (tip && place && reaches(run, place)) {
      await this.#inRun(run, tip, place);
      return true;
    }
    if (run.dump) {
      await this.#withDump(run, run.dump, tip, place);
      return true;
    }
    if (place && place.replId === run.end.replId && place.offset > run.end.offset) {
      // Sent by a process that was killed before it was told: the bytes are still to come here.
      await Promise.race([session.spool.grown, sleep(course.options.askMs)]);
      throw new LookAgain();
    }
    // What is in the repository is not what this run goes on from: another one was here.
    throw takenOver('what is archived is another stream than the one that goes on');
  }

  /** What follows is of another history: a replica that was promoted, or the same server started again. */
  async crossHistory(seam: Seam & { kind: 'history' }): Promise<void> {
    const course = this.#course;
    const { run, stretch, session } = course;
    const { offset, db } = stretch!.from;
    const { signs } = seam;
    await this.#know(signs, seam.replId);
    course.crossed.add(seam);
    const restarted = startedSince(signs, course);
    course.signs = signs;
    if (!restarted && signs.runId !== course.runId) {
      await this.#beginTimeline({
        why: 'promotion',
        note: 'the server was a replica of the one that was archived, and goes on with its stream',
        parent: { timeline: course.timeline!.timeline, position: course.position },
        file: { name: streamName(seam.replId), offset, db },
        startedMs: seam.timeMs,
        signs,
      });
      course.previous = null;
      course.position = course.timeline!.start;
    }
    course.runId = signs.runId;
    await session.spool.shipsFrom(addressOf(signs));
    this.#open(run!, seam.replId, { offset, db });
  }

  /** Goes on with bytes that are in the spool. */
  async #inRun(run: StreamRun, tip: Tip, place: { replId: string; offset: number }): Promise<void> {
    const course = this.#course;
    course.previous = tip.behindGap ? null : (tip.last?.digest ?? null);
    course.position = tip.position;
    const newest = Math.max(...tip.bases);
    if (tip.bases.size > 0) course.lastBase = { timeline: tip.timeline.timeline, position: newest };
    // All seams up to the one at which its history begins are behind it.
    const ids = run.seams.map((seam) => (seam.kind === 'history' ? seam.replId : undefined));
    for (const seam of run.seams.slice(0, ids.lastIndexOf(place.replId) + 1)) course.crossed.add(seam);
    course.signs ??= run.signs;
    for (const seam of run.seams) if (seam.kind !== 'history' && seam.offset <= place.offset) course.crossed.add(seam);
    const last = tip.behindGap ? undefined : tip.last?.header;
    let db = last ? last.db : (tip.timeline.file?.db ?? 0);
    if (last) {
      const fileStart = last.start - last.file.offset;
      const seenAt = seenIn(last.marks, fileStart, course.lastMs);
      const of = { timeline: tip.timeline.timeline, fileStart, keys: course.signs?.keys ?? 0, seenAt };
      const finder = finderOf(of, course.options, course.io.onDestructive);
      db = await course.store.until(() =>
        walkStored(course.context.repository, last, (command) => finder.command(command)),
      );
      // One that was killed between a segment and what it says of it did not say it.
      await recordDestructive(course, fileStart, finder.takeAll());
    }
    this.#open(run, place.replId, { offset: place.offset, db });
  }

  /** A dump came: the archive begins, or what is missing before it is a gap, or the server's history is another one. */
  async #withDump(
    run: StreamRun,
    dump: SpooledDump,
    tip: Tip | undefined,
    archived: { replId: string; offset: number } | undefined,
  ): Promise<void> {
    const course = this.#course;
    const { context, store, session } = course;
    const { signs } = run;
    await this.#know(signs, run.from.replId);
    course.previous = null;
    if (!tip) {
      await this.#beginTimeline({ why: 'first', signs, startedMs: dump.timeMs, at: 0, number: 1 });
      course.position = 0;
    } else {
      const known = await store.until(() => readIdentity(context.repository, context.policy.instance));
      const told = afterResync({
        ...{ archived, history: historyAtTip(tip), runId: course.runId },
        ...{ from: run.from, signs, known: known?.replicationIds ?? [], restarted: startedSince(signs, course) },
      });
      const means = await this.#inOwnWord(told);
      course.position = tip.position;
      if (means.how === 'new-timeline') {
        const parent = { timeline: tip.timeline.timeline, position: await this.#fork(tip, means.undone, archived) };
        await this.#beginTimeline({ why: means.why, note: means.note, parent, startedMs: dump.timeMs, signs });
        course.position = course.timeline!.start;
      } else if (means.missed === 0) {
        course.previous = tip.behindGap ? null : (tip.last?.digest ?? null);
      } else if (waitsForBase(tip)) {
        // Its timeline, or the gap before it, is recorded, and nothing stands behind that yet.
      } else {
        await this.#gap(tip.position + (means.missed ?? 1), dump.timeMs, means.note);
      }
    }
    course.runId = signs.runId;
    course.signs = signs;
    await session.spool.shipsFrom(addressOf(signs));
    for (;;) {
      const held = !tip || course.timeline!.timeline !== tip.timeline.timeline || !tip.bases.has(course.position);
      const at = { position: course.position, timeMs: dump.timeMs, replication: run.from };
      if (!held || (await storeDump(course, dump, at, signs))) break;
      await this.#gap(course.position + 1, dump.timeMs, 'a base that was not finished stands here');
    }
    course.lastMs = Math.max(course.lastMs, dump.timeMs);
    course.lastBase = { timeline: course.timeline!.timeline, position: course.position };
    await run.removeDump();
    this.#open(run, run.from.replId, { offset: run.from.offset, db: 0 });
  }

  /** Where this product, or a person by it, changed the data, a new timeline begins that says so; else it were a gap. */
  async #inOwnWord(means: AfterResync): Promise<AfterResync> {
    const { context, store, lastMs } = this.#course;
    const broken = means.how === 'same-timeline' ? means.missed !== 0 : means.why !== 'promotion';
    if (!broken) return means;
    const place = { repository: context.repository, instance: context.policy.instance };
    const why = await store.until(() => ownReason(place, lastMs));
    const undone = means.how === 'new-timeline' ? means.undone : 0;
    return why === undefined ? means : { how: 'new-timeline', why, note: notes[why], undone };
  }

  async #gap(to: number, timeMs: number, note: string): Promise<void> {
    const course = this.#course;
    const { position, lastMs } = course;
    await recordEvent(course, { kind: 'gap', position, timeMs: lastMs, until: { position: to, timeMs }, note });
    course.position = to;
    course.previous = null;
  }

  /** The position behind which what is archived is not the server's past. */
  async #fork(tip: Tip, undone: number, archived: { offset: number } | undefined): Promise<number> {
    const { context, session } = this.#course;
    const position = tip.position - undone;
    if (undone === 0 || !archived || position <= tip.timeline.start) return tip.position;
    const { instance } = context.policy;
    const place = { repository: context.repository, instance };
    try {
      const names = (await listArchive(context.repository, instance)).get(tip.timeline.timeline);
      const { header } = await readHeaderAt(place, names!, session.identity, position - 1);
      // Only where no gap of unknown length lies between.
      const same = header.file.offset + position - header.start === archived.offset - undone && position <= header.end;
      return same ? position : tip.position;
    } catch {
      return tip.position;
    }
  }

  #open(run: StreamRun, replId: string, { offset, db }: { offset: number; db: number }): void {
    const course = this.#course;
    const file: HeldFile = {
      ...{ name: streamName(replId), seq: 0, type: 'incr', id: streamName(replId), ino: '', handle: run.handle },
    };
    const start = {
      ...{ file, offset, db, position: course.position, timeline: course.timeline!.timeline, marks: run.marks },
      ...{ lastMs: course.lastMs, keys: course.signs?.keys ?? 0 },
    };
    course.stretch = new Stretch(start, course.options, course.io.onDestructive);
    course.telling.say('following');
  }

  async #beginTimeline(begin: {
    why: TimelineRecord['why'];
    signs: PrimarySigns;
    startedMs: number;
    number?: number;
    at?: number;
    note?: string;
    parent?: TimelineRecord['parent'];
    file?: TimelineRecord['file'];
  }): Promise<void> {
    const course = this.#course;
    const { number, at, signs, ...about } = begin;
    const { name, version, runId } = signs;
    const beginning = {
      ...{ instance: course.context.policy.instance, identity: course.session.identity },
      timeline: number ?? course.timeline!.timeline + 1,
      start: at ?? startBehind(course.position),
      server: { name, version, runId, replicationId: course.run!.end.replId },
      ...about,
    };
    course.beginning = beginning;
    course.timeline = await beginTimeline(course.store, course.context.repository, beginning);
  }

  /** Two servers never mix in one archive. @throws IDENTITY_REFUSED */
  async #know(signs: PrimarySigns, replId: string): Promise<void> {
    const { context, store } = this.#course;
    const there = { ...context, target: { ...context.target, url: signs.url } };
    // A server that had no replica takes another id for the first one: it is known by the one from before.
    const before = replicationIdsOf(signs);
    await store.until(() => checkIdentity(there, before));
    if (!before.includes(replId)) await store.until(() => checkIdentity(there, [replId, ...before]));
  }
}

/** A timeline, or what is behind a gap, begins with a base that is not stored yet. */
const waitsForBase = ({ last, timeline, behindGap, bases, position }: Tip): boolean =>
  ((!last && !timeline.file) || behindGap) && !bases.has(position);

/**
 * True where the server that was archived was started again. One that was a replica goes on under its own address; Redis tells
 * when it was started to the second only.
 */
const startedSince = ({ startedMs, url }: PrimarySigns, { lastMs, session }: StreamCourse): boolean =>
  startedMs > lastMs && (session.spool.server === undefined || session.spool.server === addressOf({ url }));
