import { RewindError } from '../../errors/rewind-error.ts';
import type { SegmentHeader } from '../segment.ts';
import { DestructiveFinder } from './destructive.ts';
import { type Boundary, FileTail } from './file-tail.ts';
import type { FollowOptions, FoundDestructive } from './follow-options.ts';
import type { HeldFile } from './held-files.ts';
import type { MarkLog } from './mark-log.ts';

export interface StretchStart {
  readonly file: HeldFile;
  readonly offset: number;
  readonly db: number;
  /** Of the byte at `offset`. */
  readonly position: number;
  readonly timeline: number;
  readonly marks: MarkLog;
  /** When the last byte before it was seen. */
  readonly lastMs: number;
  /** Of the data set. */
  readonly keys: number;
}

/** The stretch of one file that is shipped now: it is read as soon as it is there, and shipped when the store takes it. */
export class Stretch {
  readonly file: HeldFile;
  readonly tail: FileTail;
  readonly marks: MarkLog;
  readonly finder: DestructiveFinder;
  /** Position of the file's first byte, were all of it on this timeline. */
  readonly fileStart: number;
  /** All before it is shipped. */
  from: Boundary;
  /** Why it cannot be read on. */
  damage: RewindError | undefined;
  readonly #segmentBytes: number;
  readonly #mostSegmentBytes: number;
  /** Where what was read can be cut, about a segment's length apart. */
  #cuts: Boundary[] = [];
  #stamps: (readonly [seconds: number, offset: number])[] = [];

  constructor(
    { file, offset, db, position, timeline, marks, lastMs, keys }: StretchStart,
    options: FollowOptions,
    onDestructive?: (found: FoundDestructive) => void,
  ) {
    this.#segmentBytes = options.segmentBytes;
    this.#mostSegmentBytes = Math.max(options.segmentBytes, options.mostSegmentBytes);
    this.file = file;
    this.marks = marks;
    this.fileStart = position - offset;
    this.from = { offset, db, commands: 0 };
    const { fileStart } = this;
    const finder = finderOf(
      { timeline, fileStart, keys, seenAt: (at) => marks.seenAt(at) ?? lastMs },
      options,
      onDestructive,
    );
    this.finder = finder;
    this.tail = new FileTail(
      file.handle,
      { offset, db },
      {
        transactionBytes: options.transactionBytes,
        visitor: {
          command: (command) => finder.command(command),
          timestamp: (seconds, at) => void this.#stamps.push([seconds, at]),
        },
      },
    );
    marks.shipped(offset);
  }

  /** Reads on, a segment's length at most. @returns whether more is there @throws AOF_READ_FAILED */
  async read(limit: number): Promise<boolean> {
    if (this.damage) return false;
    const { tail } = this;
    const wanted = Math.min(limit, tail.readTo + this.#segmentBytes);
    try {
      while (await tail.readOn(wanted));
    } catch (error) {
      if (!(error instanceof RewindError && error.code === 'AOF_CORRUPT')) throw error;
      this.damage = error;
    }
    const end = tail.boundary();
    if (end.offset - (this.#cuts.at(-1) ?? this.from).offset >= this.#segmentBytes) this.#cuts.push(end);
    return !this.damage && tail.readTo < limit;
  }

  /** Whole commands that were read and are not shipped. */
  get unshippedBytes(): number {
    return this.tail.boundary().offset - this.from.offset;
  }

  /** Where the next segment ends: the more is unshipped the longer it is, so that the store is asked less often. */
  nextCut(): Boundary {
    const end = this.tail.boundary();
    const most = this.from.offset + this.#mostSegmentBytes;
    if (end.offset <= most) return end;
    return this.#cuts.findLast(({ offset }) => offset <= most) ?? this.#cuts[0] ?? end;
  }

  /** Of the first and the last second that is written in the file between what is shipped and `end`. */
  stampsUpTo(end: number): { first: number; last: number } | undefined {
    let [first, last] = [Number.POSITIVE_INFINITY, 0];
    for (const [seconds, offset] of this.#stamps) {
      if (offset >= end) break;
      first = Math.min(first, seconds);
      last = Math.max(last, seconds);
    }
    return first <= last ? { first, last } : undefined;
  }

  shipped(end: Boundary): void {
    this.from = end;
    this.#cuts = this.#cuts.filter(({ offset }) => offset > end.offset);
    this.#stamps = this.#stamps.filter(([, offset]) => offset >= end.offset);
    this.marks.shipped(end.offset);
  }
}

/** @param of `seenAt` by offset in the file */
export function finderOf(
  of: { timeline: number; fileStart: number; keys: number; seenAt: (offset: number) => number },
  { massKeys, massShare, massMs, now }: FollowOptions,
  onDestructive?: (found: FoundDestructive) => void,
): DestructiveFinder {
  const { timeline, fileStart, keys, seenAt } = of;
  return new DestructiveFinder({
    ...{ massKeys, massShare, massMs, now, seenAt, keys },
    told: ({ start, end, timeMs, ...found }) => {
      const until = { position: fileStart + end, timeMs };
      onDestructive?.({ timeline, position: fileStart + start, timeMs, until, ...found });
    },
  });
}

/** When a byte at an offset of the file was seen, by the marks of its stored segment; else `lastMs`. */
export const seenIn =
  (marks: SegmentHeader['marks'], fileStart: number, lastMs: number) =>
  (offset: number): number =>
    marks.find(([, upTo]) => upTo > fileStart + offset)?.[0] ?? lastMs;
