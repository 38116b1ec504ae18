import type { TimelineRecord } from '../records.ts';
import type { BaseShipping } from './base-shipping.ts';
import { beginTimeline, startBehind } from './begin-timeline.ts';
import { type Course, rememberFile } from './course.ts';
import type { EventRecords } from './event-records.ts';
import type { FileSwitches } from './file-switches.ts';
import type { HeldFiles } from './held-files.ts';
import type { Looks } from './looks.ts';
import { inOwnWord } from './own-word.ts';
import type { PatientStore } from './patient-store.ts';
import type { SameFiles } from './same-files.ts';
import type { ServerSigns } from './server-watch.ts';
import { Stretch } from './stretch.ts';
import type { Telling } from './telling.ts';
import { readTip, refuseOther, type Tip } from './tip.ts';
import { type Continuation, type Place, whereToGoOn } from './where-to-go-on.ts';

const unproven = 'whether the files are those of the server that answers shows when it writes';

export interface GoingOnParts {
  readonly server: SameFiles;
  readonly switches: FileSwitches;
  readonly held: HeldFiles;
  readonly looks: Looks;
  readonly store: PatientStore;
  readonly bases: BaseShipping;
  readonly events: EventRecords;
  readonly telling: Telling;
}

/** Finds where the archive goes on, begins there, and says in the store what that means. */
export class GoingOn {
  readonly #course: Course;
  readonly #parts: GoingOnParts;

  constructor(course: Course, parts: GoingOnParts) {
    this.#course = course;
    this.#parts = parts;
  }

  /**
   * @returns false where that cannot be told yet
   * @throws LookAgain, ARCHIVE_TAKEN_OVER, those of `whereToGoOn`
   */
  async begin(): Promise<boolean> {
    const course = this.#course;
    const { store, looks, held, server, bases } = this.#parts;
    const { repository, policy } = course.context;
    const tip = await store.until(() => readTip(repository, policy.instance, course.place.identity));
    if (tip) refuseOther(tip, course);
    const signs = await server.ask();
    const { files } = looks;
    if (signs) course.signs = signs;
    course.comparedWith = signs?.runId;
    const proven = !server.doubted && (server.proven || course.knownHere);
    if (signs?.aofOn && files && !proven && !course.tailOnly) return this.#notYet(unproven);
    if (!tip) {
      if (!files?.base || !signs) return this.#notYet();
      await this.#beginTimeline({ number: 1, start: 0, why: 'first', signs });
      return this.#fromBase(0, null);
    }
    course.timeline = tip.timeline;
    bases.ofTimeline(tip.bases);
    course.lastMs = tip.last?.header.lastMs ?? tip.timeline.startedMs;
    const place = { repository, instance: policy.instance };
    const continuation = await store.until(async () => {
      const found = await whereToGoOn({
        ...{ ...place, tip, files, held: held.all(), exhausted: looks.exhausted, signs },
        ...{ place: course.place, transactionBytes: course.options.transactionBytes },
      });
      return signs ? inOwnWord(place, found, course.lastMs) : found;
    });
    return this.#from(tip, continuation, signs);
  }

  /** Begins a file, at its first byte or within it. */
  async open({ file, offset, db }: Place, position: number, previous: string | null): Promise<void> {
    const course = this.#course;
    const { looks, bases, switches, telling } = this.#parts;
    course.previous = previous;
    course.position = position;
    const start = {
      ...{ file, offset, db, position, timeline: course.timeline!.timeline, marks: looks.logOf(file) },
      ...{ lastMs: course.lastMs, keys: course.signs?.keys ?? 0 },
    };
    const stretch = new Stretch(start, course.options, course.io.onDestructive);
    bases.begins(file, stretch.fileStart);
    course.stretch = stretch;
    looks.exhausted.delete(file.id);
    await rememberFile(course, file, switches);
    const { unremembered } = course;
    telling.say('following', unremembered && `where the files are cannot be remembered: ${unremembered}`);
  }

  async #from(tip: Tip, go: Continuation, signs: ServerSigns | undefined): Promise<boolean> {
    const { looks, bases, events } = this.#parts;
    if (go.how === 'ask-server') return this.#notYet();
    if (go.how === 'same-file') {
      await this.open(go.at, tip.position, go.previous);
      bases.beginsOfManifest();
      await events.tellAgain(tip);
      return true;
    }
    if (go.how === 'from-base') {
      if (!looks.files?.base) return this.#notYet();
      if (go.gap) await events.gap(tip.position, go.position, go.gap.note);
      return this.#fromBase(go.position, go.previous);
    }
    const start = startBehind(tip.position);
    const parent = { timeline: tip.timeline.timeline, position: go.fork?.position ?? tip.position };
    const { file, offset, db } = go.fork?.at ?? {};
    const timeline = await this.#beginTimeline({
      ...{ number: tip.timeline.timeline + 1, start, parent, why: go.why, note: go.note, signs: signs! },
      ...(file ? { file: { name: file.name, offset: offset!, db: db! } } : {}),
    });
    this.#course.lastMs = timeline.startedMs;
    if (!go.fork) return this.#fromBase(start, null);
    await this.open(go.fork.at, start, null);
    return true;
  }

  async #notYet(what?: string): Promise<false> {
    const { tailOnly, signs, options } = this.#course;
    const { telling, looks } = this.#parts;
    if (tailOnly) return false;
    const why = signs?.aofOn === false ? 'appendonly is off' : (what ?? looks.problem ?? 'Redis does not answer');
    telling.say(signs?.aofOn === false ? 'off' : 'waiting', why);
    await looks.next(options.askMs);
    return false;
  }

  async #beginTimeline(begin: {
    number: number;
    start: number;
    why: TimelineRecord['why'];
    signs: ServerSigns;
    note?: string;
    parent?: TimelineRecord['parent'];
    file?: TimelineRecord['file'];
  }): Promise<TimelineRecord> {
    const course = this.#course;
    const { number, signs, ...about } = begin;
    const { name, version, runId, replicationId } = signs;
    const beginning = {
      ...{ instance: course.context.policy.instance, identity: course.place.identity, timeline: number },
      ...{ startedMs: course.options.now(), server: { name, version, runId, replicationId }, ...about },
    };
    course.beginning = beginning;
    const record = await beginTimeline(this.#parts.store, course.context.repository, beginning);
    course.timeline = record;
    this.#parts.bases.ofTimeline(new Set());
    return record;
  }

  /** Nothing behind a base is worth anything without it: it goes first. */
  async #fromBase(position: number, previous: string | null): Promise<boolean> {
    const { looks, bases, events } = this.#parts;
    const { base, incrs } = looks.files!;
    const [first] = incrs;
    if (!base || !first) return this.#notYet();
    bases.forgetBegins();
    await this.open({ file: first, offset: 0, db: 0 }, position, previous);
    if (await bases.store(base, position)) return true;
    await events.gap(position, position + 1, 'a base that was not finished stands here');
    return this.#fromBase(position + 1, null);
  }
}
