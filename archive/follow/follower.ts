import { access } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AofCommand } from '../../aof/command.ts';
import { checkIdentity } from '../../backup/identity-check.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { TimelineRecord } from '../records.ts';
import { type AofPlace, heldFolder, rememberedPlace, rememberPlace } from './aof-place.ts';
import { type DestructiveCommand, DestructiveFinder } from './destructive.ts';
import { type Boundary, FileTail } from './file-tail.ts';
import type { FollowFigures, FollowIO, FollowOptions, FollowState } from './follow-options.ts';
import { type HeldFile, HeldFiles } from './held-files.ts';
import { ManifestWatch } from './manifest-watch.ts';
import { MarkLog } from './mark-log.ts';
import { type ServerSigns, ServerWatch } from './server-watch.ts';
import { readySegment, storeBase, storeEvent, storeTimeline, takenOver } from './store-records.ts';
import { newestTimeline, readTip, type Tip } from './tip.ts';
import { type Continuation, type Place, whereToGoOn } from './where-to-go-on.ts';

/** New timelines leave so much room that an agent which does not know of them yet gives no position twice. */
const timelineStride = 2 ** 30;

const replicationIdsOf = ({ replicationId, previousId }: ServerSigns): string[] => [
  replicationId,
  ...(previousId === undefined ? [] : [previousId]),
];

const isThere = [() => true, () => false] as const;

/** The stretch of one file that is shipped now. */
interface Stretch {
  readonly file: HeldFile;
  readonly tail: FileTail;
  readonly marks: MarkLog;
  /** Position of the file's first byte, were all of it on this timeline. */
  readonly fileStart: number;
  /** All before it is shipped. */
  from: Boundary;
  stamps: [seconds: number, offset: number][];
}

/** The file at hand is not what it was, or the server is another one: whatever follows has to be found out anew. */
class LookAgain extends Error {}

/** Follows the append-only files of one server into the repository. */
export class Follower {
  readonly #context: InstanceContext;
  readonly #io: FollowIO;
  readonly #options: FollowOptions;
  readonly #tailOnly: boolean;
  readonly #server: ServerWatch;
  #signs: ServerSigns | undefined;
  /** Of the server whose file was last compared with what is archived. */
  #comparedWith: string | undefined;
  #place!: AofPlace;
  #held!: HeldFiles;
  #watch!: ManifestWatch;
  #timeline!: TimelineRecord;
  #stretch: Stretch | undefined;
  #previous: string | null = null;
  #position = 0;
  /** When the last shipped byte was seen. */
  #lastMs = 0;
  /** Positions at which incrs begin, by inode. */
  /** The file before the one at hand, as long as nothing of that is shipped. */
  #before: HeldFile | undefined;
  #starts = new Map<string, number>();
  #basesStored = new Set<number>();
  #baseTask: Promise<unknown> | undefined;
  #storing: HeldFile | undefined;
  readonly #logs = new Map<string, MarkLog>();
  readonly #exhausted = new Set<string>();
  #finder: DestructiveFinder | undefined;
  #clockSteps: { fromMs: number; toMs: number; id: string; upTo: number }[] = [];
  #lookEnded = Promise.withResolvers<void>();
  #dropped = false;
  #idle = false;
  /** The replication id that the identity in the repository has. */
  #knownBy: string | undefined;
  #lookedForRivalAt = Date.now();
  #failed: unknown;
  #figures: FollowFigures = {
    ...{ state: 'waiting', timeline: 0, position: 0, unshippedBytes: 0, lagMs: 0, segments: 0, shippedBytes: 0 },
    ...{ bases: 0, heldBytes: 0, gaps: 0, dropped: 0 },
  };

  /** @param tailOnly ship what is on the disk and end; the server need not answer */
  constructor(context: InstanceContext, io: FollowIO, options: FollowOptions, tailOnly = false) {
    this.#context = context;
    this.#io = io;
    this.#options = options;
    this.#tailOnly = tailOnly;
    this.#server = new ServerWatch(context.target);
  }

  get figures(): FollowFigures {
    return this.#figures;
  }

  /** True where every whole command that is on the disk was shipped at the last look. */
  get idle(): boolean {
    return this.#idle;
  }

  /** Where the server's files are, and whose they are. @returns undefined where nobody knows, and the server is down */
  async locate(): Promise<AofPlace | undefined> {
    for (;;) {
      const found = await this.#server.place();
      const signs = found && (await this.#server.ask());
      const remembered = await rememberedPlace(this.#context.home, this.#context.policy.instance);
      if (signs && found) {
        if (!remembered && !(await access(found.redisDir).then(...isThere))) {
          throw new RewindError(
            'ARCHIVE_NOT_POSSIBLE',
            `Redis keeps its files in ${found.redisDir}, which is not on this machine or not readable here.`,
          );
        }
        const identity = await this.#stored(() => checkIdentity(this.#context, replicationIdsOf(signs)));
        this.#signs = signs;
        const { runId, replicationId, configSets } = remembered ?? signs;
        this.#place = { formatVersion: 1, ...found, identity, runId, replicationId, configSets };
        if (remembered?.lastFile !== undefined) {
          this.#place.lastFile = remembered.lastFile;
          this.#place.lastSeq = remembered.lastSeq;
        }
        return this.#place;
      }
      if (remembered) {
        this.#place = remembered;
        return remembered;
      }
      if (this.#tailOnly) return undefined;
      this.#say('waiting', 'Redis does not answer, and nobody here has followed it before');
      await sleep(this.#options.askMs, undefined, { signal: this.#io.signal });
    }
  }

  /** Follows until the signal, or, with `tailOnly`, until nothing more is there. The lock is the caller's. */
  async run(): Promise<void> {
    this.#held = await HeldFiles.open(heldFolder(this.#place));
    this.#watch = new ManifestWatch(this.#place, this.#held);
    await this.#look();
    const ended = new AbortController();
    const stop = AbortSignal.any([this.#io.signal, ended.signal]);
    const background = [this.#looks(stop), this.#questions(stop)].map((each) =>
      each.catch((error) => {
        this.#failed ??= error;
      }),
    );
    try {
      for (;;) {
        try {
          if (await this.#goOn()) await this.#ship();
          if (this.#stopped()) break;
        } catch (error) {
          // What is let go of for want of room is closed under whoever reads it.
          const letGo = this.#dropped && !(error instanceof RewindError && !error.retryable);
          if (!(error instanceof LookAgain) && !letGo) throw error;
          this.#stretch = undefined;
        }
      }
    } catch (error) {
      if (!this.#io.signal.aborted) throw error;
    } finally {
      ended.abort();
      await Promise.allSettled([...background, this.#baseTask]);
      this.#server.close();
      await this.#held.close();
    }
  }

  #stopped(): boolean {
    if (this.#failed !== undefined) throw this.#failed;
    return this.#io.signal.aborted || this.#tailOnly;
  }

  // What is looked at all the time, whatever the store does.

  async #looks(signal: AbortSignal): Promise<void> {
    let wall = this.#options.now();
    let steady = performance.now();
    while (!signal.aborted) {
      await sleep(this.#options.pollMs, undefined, { signal }).catch(() => undefined);
      const expected = wall + performance.now() - steady;
      wall = this.#options.now();
      steady = performance.now();
      if (Math.abs(wall - expected) > this.#options.clockStepMs) this.#clockStepped(Math.round(expected), wall);
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    try {
      await this.#watch.look();
      const incrs = this.#watch.now?.incrs ?? [];
      const files = new Set([...incrs, ...(this.#stretch ? [this.#stretch.file] : [])]);
      for (const file of files) await this.#mark(file);
    } finally {
      this.#lookEnded.resolve();
      this.#lookEnded = Promise.withResolvers();
    }
  }

  async #mark(file: HeldFile): Promise<void> {
    if (!this.#held.has(file)) return;
    const found = await file.handle.stat().catch(() => undefined);
    // Let go of meanwhile.
    if (!found) return;
    const { size, mtimeMs } = found;
    const log = this.#logOf(file);
    const now = this.#options.now();
    // At the first look all that is there is as old as the last write.
    const ms = log.upTo === 0 ? Math.min(now, Math.max(Math.floor(mtimeMs), this.#lastMs)) : now;
    log.look(ms, size);
  }

  #logOf(file: HeldFile): MarkLog {
    let log = this.#logs.get(file.id);
    if (!log) this.#logs.set(file.id, (log = new MarkLog()));
    return log;
  }

  #clockStepped(fromMs: number, toMs: number): void {
    const file = this.#watch.now?.incrs.at(-1) ?? this.#stretch?.file;
    if (file) this.#clockSteps.push({ fromMs, toMs, id: file.id, upTo: this.#logOf(file).upTo });
  }

  async #questions(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const signs = await this.#server.ask();
      if (signs) {
        if (this.#signs) this.#finder?.dataSet(signs.keys, Math.max(0, signs.expiredKeys - this.#signs.expiredKeys));
        this.#signs = signs;
      }
      await this.#knowAgain();
      await this.#keepWithinSpool();
      await this.#lookForRival();
      await sleep(this.#options.askMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** What is known of the server when a file is begun: that nobody has switched it off and on since is seen by it later. */
  async #remember({ name, seq }: HeldFile): Promise<void> {
    const signs = this.#signs;
    const known = this.#place.lastFile === name && this.#place.runId === signs?.runId;
    if (!signs?.aofOn || known) return;
    const { runId, replicationId, configSets } = signs;
    this.#place = { ...this.#place, runId, replicationId, configSets, lastFile: name, lastSeq: seq };
    await rememberPlace(this.#context.home, this.#context.policy.instance, this.#place);
  }

  /** Beyond the limit everything goes that only we hold: what comes then begins with the base that is there now. */
  async #keepWithinSpool(): Promise<void> {
    const ours = await this.#held.onlyOurs();
    const heldBytes = ours.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#figures = { ...this.#figures, heldBytes };
    if (heldBytes <= this.#options.spoolBytes) return;
    for (const { file } of ours) await this.#held.release(file);
    this.#dropped = true;
    this.#figures = { ...this.#figures, dropped: this.#figures.dropped + 1 };
    this.#say(
      'store',
      `more than ${this.#options.spoolBytes} bytes were held for a store that did not take them: let go`,
    );
  }

  // Where to go on.

  /** Finds the place to go on from. @returns false where that cannot be told yet */
  async #goOn(): Promise<boolean> {
    this.#dropped = false;
    const { instance } = this.#context.policy;
    const { repository } = this.#context;
    const tip = await this.#stored(() => readTip(repository, instance, this.#place.identity));
    if (tip && this.#timeline && tip.timeline.timeline > this.#timeline.timeline) {
      throw takenOver(`it has begun the timeline ${tip.timeline.timeline} for the server ${tip.timeline.server.runId}`);
    }
    const files = this.#watch.now;
    const signs = await this.#server.ask();
    if (signs) this.#signs = signs;
    this.#comparedWith = signs?.runId;
    if (!tip) {
      if (!files?.base || !signs) return this.#notYet();
      await this.#beginTimeline({ number: 1, start: 0, why: 'first', signs });
      return this.#fromBase(0, null);
    }
    this.#timeline = tip.timeline;
    this.#basesStored = new Set(tip.bases);
    this.#lastMs = tip.last?.header.lastMs ?? tip.timeline.startedMs;
    const continuation = await this.#stored(() =>
      whereToGoOn({
        ...{ repository, instance, tip, files, held: this.#held.all(), exhausted: this.#exhausted, signs },
        ...{ place: this.#place, transactionBytes: this.#options.transactionBytes },
      }),
    );
    return this.#begin(tip, continuation, signs);
  }

  async #begin(tip: Tip, go: Continuation, signs: ServerSigns | undefined): Promise<boolean> {
    if (go.how === 'ask-server') return this.#notYet();
    if (go.how === 'same-file') {
      await this.#open(go.at, tip.position, go.previous);
      this.#startsOfManifest();
      await this.#tellAgain(tip);
      return true;
    }
    if (go.how === 'from-base') {
      if (!this.#watch.now?.base) return this.#notYet();
      if (go.gap) await this.#recordGap(tip.position, go.position, go.gap.note);
      return this.#fromBase(go.position, go.previous);
    }
    const start = (Math.floor(tip.position / timelineStride) + 1) * timelineStride;
    const parent = { timeline: tip.timeline.timeline, position: go.fork?.position ?? tip.position };
    const { file, offset, db } = go.fork?.at ?? {};
    await this.#beginTimeline({
      ...{ number: tip.timeline.timeline + 1, start, parent, why: go.why, note: go.note, signs: signs! },
      ...(file ? { file: { name: file.name, offset: offset!, db: db! } } : {}),
    });
    this.#lastMs = this.#timeline.startedMs;
    if (!go.fork) return this.#fromBase(start, null);
    await this.#open(go.fork.at, start, null);
    return true;
  }

  async #notYet(): Promise<false> {
    if (this.#tailOnly) return false;
    const why = this.#signs?.aofOn === false ? 'appendonly is off' : (this.#watch.problem ?? 'Redis does not answer');
    this.#say(this.#signs?.aofOn === false ? 'off' : 'waiting', why);
    await this.#nextLook(this.#options.askMs);
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
  }): Promise<void> {
    const { number, start, why, note, parent, file } = begin;
    const { name, version, runId, replicationId } = begin.signs;
    const record: TimelineRecord = {
      ...{ formatVersion: 1, instance: this.#context.policy.instance, identity: this.#place.identity },
      ...{ timeline: number, start, startedMs: this.#options.now(), why },
      ...{ server: { name, version, runId, replicationId } },
      ...(note === undefined ? {} : { note }),
      ...(parent ? { parent } : {}),
      ...(file ? { file } : {}),
    };
    const begun = await this.#stored(() => storeTimeline(this.#context.repository, record));
    // Another one was first, or this very agent before it was killed: what stands there is looked at anew.
    if (!begun) throw new LookAgain();
    this.#timeline = record;
    this.#basesStored = new Set();
  }

  /** Nothing behind a base is worth anything without it: it goes first. */
  async #fromBase(position: number, previous: string | null): Promise<boolean> {
    const { base, incrs } = this.#watch.now!;
    const [first] = incrs;
    if (!base || !first) return this.#notYet();
    this.#starts = new Map([[first.id, position]]);
    await this.#open({ file: first, offset: 0, db: 0 }, position, previous);
    if (await this.#storeBase(base, position)) return true;
    await this.#recordGap(position, position + 1, 'a base that was not finished stands here');
    return this.#fromBase(position + 1, null);
  }

  async #open({ file, offset, db }: Place, position: number, previous: string | null): Promise<void> {
    this.#previous = previous;
    this.#position = position;
    const finder = this.#finderOf(position - offset, (at) => this.#logOf(file).seenAt(at));
    this.#finder = finder;
    const stretch: Stretch = {
      file,
      tail: new FileTail(
        file.handle,
        { offset, db },
        {
          transactionBytes: this.#options.transactionBytes,
          visitor: {
            command: (command) => finder.command(command),
            timestamp: (seconds, at) => stretch.stamps.push([seconds, at]),
          },
        },
      ),
      marks: this.#logOf(file),
      fileStart: position - offset,
      from: { offset, db, commands: 0 },
      stamps: [],
    };
    stretch.marks.shipped(offset);
    this.#starts.set(file.id, stretch.fileStart);
    this.#stretch = stretch;
    this.#exhausted.delete(file.id);
    await this.#remember(file);
    this.#say('following');
  }

  /** A base that was not stored yet may belong to an incr before the one at hand. */
  #startsOfManifest(): void {
    const incrs = this.#watch.now?.incrs ?? [];
    const at = incrs.findIndex(({ id }) => id === this.#stretch?.file.id);
    let start = this.#stretch!.fileStart;
    for (const file of incrs.slice(0, Math.max(0, at)).reverse()) {
      start -= this.#logOf(file).upTo;
      this.#starts.set(file.id, start);
    }
  }

  async #recordGap(from: number, to: number, note: string): Promise<void> {
    await this.#stored(() =>
      storeEvent(this.#context.repository, {
        ...this.#common(),
        kind: 'gap',
        position: from,
        timeMs: this.#lastMs,
        until: { position: to, timeMs: this.#options.now() },
        note,
      }),
    );
    this.#figures = { ...this.#figures, gaps: this.#figures.gaps + 1 };
  }

  // Shipping.

  /** Ships file after file. Returns on the signal, or with nothing more to ship where only the tail is meant. */
  async #ship(): Promise<void> {
    for (;;) {
      const stretch = this.#stretch!;
      this.#queueBase();
      const stopping = this.#stopped();
      const { ended, next } = this.#whatFollows(stretch);
      if (stopping || ended) await this.#mark(stretch.file);
      const step = this.#clockSteps.find(({ id }) => id === stretch.file.id);
      const limit = step ? Math.max(step.upTo, stretch.from.offset) : stretch.marks.upTo;
      if ((await stretch.file.handle.stat()).size < stretch.tail.readTo) throw new LookAgain();
      const { more, damage } = await this.#read(stretch, limit);
      const cut = stretch.tail.boundary();
      const unshipped = cut.offset - stretch.from.offset;
      const seen = stretch.marks.seenAt(stretch.from.offset);
      const age = seen === undefined ? 0 : this.#options.now() - seen;
      this.#tell(stretch, seen);
      const full = stretch.tail.readTo - stretch.from.offset >= this.#options.segmentBytes;
      const due = full || age >= this.#options.segmentMs || age < 0;
      if (unshipped > 0 && (due || (!more && (stopping || ended || step || damage)))) {
        await this.#cut(stretch, cut);
        continue;
      }
      if (more && !(stopping && this.#io.signal.aborted)) continue;
      if (step) {
        await this.#recordClock(stretch, step);
        continue;
      }
      if (stopping && !(this.#tailOnly && ended)) return;
      if (ended) {
        await this.#leave(stretch, next);
        continue;
      }
      if (damage) await this.#lookAtDamage(stretch, damage);
      this.#idle = unshipped === 0;
      await this.#nextLook();
      this.#idle &&= stretch.marks.upTo === stretch.tail.readTo;
      if (this.#dropped && !this.#held.has(stretch.file)) throw new LookAgain();
    }
  }

  /** Reads up to a segment's length. @returns whether more is there, or why it cannot be read */
  async #read({ tail, from }: Stretch, limit: number): Promise<{ more: boolean; damage?: RewindError }> {
    try {
      const wanted = from.offset + this.#options.segmentBytes;
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
    this.#say('damaged', `${file.name}: ${damage.message}`);
    await this.#nextLook(this.#options.askMs);
    throw new LookAgain();
  }

  /** All of a file is shipped, and the server appends to another one. */
  async #leave(stretch: Stretch, next: HeldFile | undefined): Promise<void> {
    const { file, fileStart, from, marks } = stretch;
    await this.#recordDestructive(stretch, this.#finder?.takeAll() ?? []);
    if (!next || from.offset < marks.upTo) {
      this.#exhausted.add(file.id);
      throw new LookAgain();
    }
    this.#before = file;
    await this.#open({ file: next, offset: 0, db: 0 }, fileStart + from.offset, this.#previous);
    await this.#letGo();
  }

  /** Whether the server appends to another file now, and to which. */
  #whatFollows({ file }: Stretch): { ended: boolean; next?: HeldFile } {
    const incrs = this.#watch.now?.incrs;
    if (!incrs) return { ended: false };
    const at = incrs.findIndex(({ id }) => id === file.id);
    if (at >= 0) return at === incrs.length - 1 ? { ended: false } : { ended: true, next: incrs[at + 1]! };
    const all = this.#held.all().filter(({ type, seq }) => type === 'incr' && seq === file.seq + 1);
    const next = all.find((each) => this.#watch.followed(file, each)) ?? all.find((each) => this.#followsBySigns(each));
    return { ended: true, ...(next ? { next } : {}) };
  }

  /**
   * A rewrite that was over between two looks. That the file was not switched off and on instead, which leaves the same
   * names, shows by nobody having called CONFIG SET.
   */
  #followsBySigns(next: HeldFile): boolean {
    const { runId, configSets, lastSeq } = this.#place;
    const signs = this.#signs;
    return (
      signs !== undefined &&
      signs.role === 'primary' &&
      // The figures are from before the file ended, or the next one was gone on with already.
      lastSeq !== undefined &&
      lastSeq <= next.seq &&
      signs.runId === runId &&
      signs.configSets === configSets
    );
  }

  async #cut(stretch: Stretch, end: Boundary): Promise<void> {
    const signs = await this.#server.ask();
    if (signs) {
      this.#signs = signs;
      // Another process may have another file under this name.
      if (signs.runId !== this.#comparedWith) throw new LookAgain();
    }
    const { from, fileStart, marks, file } = stretch;
    const stamps = stretch.stamps.filter(([, offset]) => offset < end.offset).map(([seconds]) => seconds);
    const known = marks.upToEnd(end.offset);
    const seen = known.length > 0 ? known : [[this.#options.now(), end.offset] as const];
    const times = seen.map(([ms]) => ms);
    const ready = await readySegment(this.#context.repository, file, {
      ...{ instance: this.#context.policy.instance, identity: this.#place.identity },
      timeline: this.#timeline.timeline,
      start: fileStart + from.offset,
      end: fileStart + end.offset,
      file: { name: file.name, offset: from.offset },
      db: from.db,
      commands: end.commands - from.commands,
      firstMs: Math.min(...times),
      lastMs: Math.max(...times),
      marks: seen.map(([ms, upTo]) => [ms, fileStart + upTo]),
      ...(stamps.length === 0 ? {} : { stamps: { first: Math.min(...stamps), last: Math.max(...stamps) } }),
      previous: this.#previous,
      ...(from.transactionAt === undefined ? {} : { transactionAt: fileStart + from.transactionAt }),
      runId: this.#comparedWith ?? this.#place.runId,
    });
    if (!ready) throw new LookAgain();
    await this.#stored(() => ready.store(this.#patience())).catch((error) => {
      if (error instanceof RewindError && error.code === 'OBJECT_EXISTS') {
        throw takenOver(`${ready.key} is there already with other bytes`);
      }
      throw error;
    });
    const { header } = ready;
    stretch.from = end;
    stretch.stamps = stretch.stamps.filter(([, offset]) => offset >= end.offset);
    marks.shipped(end.offset);
    this.#previous = ready.digest;
    this.#position = header.end;
    this.#lastMs = header.lastMs;
    this.#figures = {
      ...this.#figures,
      segments: this.#figures.segments + 1,
      shippedBytes: this.#figures.shippedBytes + header.end - header.start,
    };
    const before = this.#before;
    this.#before = undefined;
    if (before) await this.#letGo();
    await this.#recordDestructive(stretch, this.#finder?.takeBefore(end.offset) ?? []);
  }

  /** One that was killed between a segment and what it says of it did not say it. */
  async #tellAgain({ last }: Tip): Promise<void> {
    const stretch = this.#stretch!;
    if (!last) return;
    const { file, start, end, db, marks } = last.header;
    const finder = this.#finderOf(
      stretch.fileStart,
      (at) => marks.find(([, upTo]) => upTo > stretch.fileStart + at)?.[0],
    );
    const visitor = { command: (command: AofCommand) => finder.command(command) };
    const { transactionBytes } = this.#options;
    const tail = new FileTail(stretch.file.handle, { offset: file.offset, db }, { transactionBytes, visitor });
    while (await tail.readOn(file.offset + end - start));
    await this.#recordDestructive(stretch, finder.takeAll());
  }

  /** @param seenAt when the byte at an offset of the file was seen */
  #finderOf(fileStart: number, seenAt: (offset: number) => number | undefined): DestructiveFinder {
    const { timeline } = this.#timeline;
    return new DestructiveFinder({
      ...this.#options,
      seenAt: (offset) => seenAt(offset) ?? this.#lastMs,
      told: ({ start, end, timeMs, ...found }) => {
        const until = { position: fileStart + end, timeMs };
        this.#io.onDestructive?.({ timeline, position: fileStart + start, timeMs, until, ...found });
      },
    });
  }

  async #recordDestructive({ fileStart }: Stretch, commands: readonly DestructiveCommand[]): Promise<void> {
    for (const { start, end, timeMs, command, database, keys } of commands) {
      await this.#stored(() =>
        storeEvent(this.#context.repository, {
          ...this.#common(),
          ...{ kind: 'destructive', position: fileStart + start, timeMs, command, database },
          until: { position: fileStart + end, timeMs },
          ...(keys === undefined ? {} : { keys }),
        }),
      );
    }
  }

  async #recordClock(stretch: Stretch, step: { fromMs: number; toMs: number; upTo: number }): Promise<void> {
    this.#clockSteps = this.#clockSteps.filter((each) => each !== step);
    stretch.marks.shipped(step.upTo);
    await this.#stored(() =>
      storeEvent(this.#context.repository, {
        ...this.#common(),
        ...{ kind: 'clock', position: stretch.fileStart + stretch.from.offset, timeMs: step.fromMs, toMs: step.toMs },
      }),
    );
  }

  // Bases.

  /** Stores the base of a rewrite beside the segments; one at a time, and of several that wait only the newest. */
  #queueBase(): void {
    const { base, incrs } = this.#watch.now ?? {};
    const position = incrs?.[0] && this.#starts.get(incrs[0].id);
    if (!base || position === undefined || this.#baseTask) return;
    if (position < this.#timeline.start || this.#basesStored.has(position)) return;
    this.#baseTask = this.#storeBase(base, position)
      .catch((error) => {
        if (!(error instanceof LookAgain) && !this.#io.signal.aborted) this.#failed ??= error;
      })
      .finally(() => {
        this.#baseTask = undefined;
      });
  }

  /** @returns false where nothing can be stored at the position */
  async #storeBase(base: HeldFile, position: number): Promise<boolean> {
    if (this.#basesStored.has(position)) return true;
    const { name, version, runId, replicationId } = this.#signs ?? { ...this.#timeline.server };
    const record = {
      ...this.#common(),
      position,
      timeMs: Math.floor((await base.handle.stat()).mtimeMs),
      server: { name, version, runId, ...(replicationId === undefined ? {} : { replicationId }) },
    };
    this.#storing = base;
    const options = { signal: this.#io.signal };
    const stored = await this.#stored(() => storeBase(this.#context.repository, base, record, options)).finally(() => {
      this.#storing = undefined;
    });
    this.#basesStored.add(position);
    if (!stored) return false;
    this.#figures = { ...this.#figures, bases: this.#figures.bases + 1 };
    await this.#letGo();
    return true;
  }

  /** Lets go of what is shipped and is no part of the server's data any more. */
  async #letGo(): Promise<void> {
    const { base, incrs = [] } = this.#watch.now ?? {};
    const at = this.#stretch?.file;
    // As long as it is not known where to go on, anything may be needed.
    if (!at) return;
    const needed = new Set([base, at, this.#before, this.#storing, ...incrs].map((file) => file?.id));
    for (const file of this.#held.all()) {
      if (needed.has(file.id) || (file.type === 'incr' && file.seq > at.seq)) continue;
      await this.#held.release(file);
      this.#logs.delete(file.id);
      this.#exhausted.delete(file.id);
    }
  }

  // Talking to the store, and telling.

  /** Until it is done, whatever the store says; of two agents one is told to stop. */
  async #stored<T>(step: () => Promise<T>): Promise<T> {
    for (let wait = this.#options.retryMs; ; wait = Math.min(this.#options.retryMostMs, wait * 2)) {
      try {
        const result = await step();
        if (this.#figures.state === 'store') this.#say('following');
        return result;
      } catch (error) {
        const final = ['OBJECT_EXISTS', 'ARCHIVE_TAKEN_OVER', 'ARCHIVE_FOREIGN', 'IDENTITY_REFUSED'];
        if (!(error instanceof RewindError) || final.includes(error.code) || /^ARCHIVE_(REC|SEG)/.test(error.code)) {
          throw error;
        }
        if (this.#io.signal.aborted || this.#tailOnly) throw error;
        this.#say('store', `${error.code}: ${error.message}`);
        await sleep(wait, undefined, { signal: this.#io.signal });
        if (this.#dropped) throw new LookAgain();
      }
    }
  }

  #patience(): AbortSignal {
    return AbortSignal.timeout(600_000);
  }

  async #nextLook(atMostMs = 10 * this.#options.pollMs): Promise<void> {
    await Promise.race([this.#lookEnded.promise, sleep(atMostMs)]);
  }

  #common() {
    const { instance } = this.#context.policy;
    return { instance, identity: this.#place.identity, timeline: this.#timeline.timeline };
  }

  #say(state: FollowState, note?: string): void {
    const { note: _, ...figures } = this.#figures;
    this.#figures = { ...figures, state, ...(note === undefined ? {} : { note }) };
    this.#io.onFigures?.(this.#figures);
  }

  #tell(stretch: Stretch, seen: number | undefined): void {
    const off = this.#signs?.aofOn === false;
    const { state } = this.#figures;
    this.#figures = {
      ...this.#figures,
      state: off ? 'off' : state === 'off' || state === 'waiting' || state === 'damaged' ? 'following' : state,
      timeline: this.#timeline.timeline,
      position: this.#position,
      unshippedBytes: Math.max(0, stretch.marks.upTo - stretch.from.offset),
      lagMs: seen === undefined ? 0 : Math.max(0, this.#options.now() - seen),
    };
    this.#io.onFigures?.(this.#figures);
  }

  /** A server's replication id changes as it goes on: by the one that it had last a promoted replica is known. */
  async #knowAgain(): Promise<void> {
    const signs = this.#signs;
    if (!signs || signs.replicationId === this.#knownBy) return;
    try {
      await checkIdentity(this.#context, replicationIdsOf(signs));
      this.#knownBy = signs.replicationId;
    } catch (error) {
      // A store that is down is asked again at the next look.
      if (error instanceof RewindError && error.code === 'IDENTITY_REFUSED') throw error;
    }
  }

  /** Of two agents on two hosts the one whose timeline another has left behind stops. @throws ARCHIVE_TAKEN_OVER */
  async #lookForRival(): Promise<void> {
    const known: TimelineRecord | undefined = this.#timeline;
    if (!known || Date.now() - this.#lookedForRivalAt < this.#options.rivalMs) return;
    this.#lookedForRivalAt = Date.now();
    const { repository, policy } = this.#context;
    // A store that does not answer tells nothing of rivals.
    const newest = (await newestTimeline(repository, policy.instance).catch(() => undefined)) ?? 0;
    if (newest > this.#timeline.timeline) throw takenOver(`it has begun the timeline ${newest}`);
  }
}
