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

/** The stretch of one file that is shipped now. */
export class Stretch {
  readonly file: HeldFile;
  readonly tail: FileTail;
  readonly marks: MarkLog;
  readonly finder: DestructiveFinder;
  /** Position of the file's first byte, were all of it on this timeline. */
  readonly fileStart: number;
  /** All before it is shipped. */
  from: Boundary;
  stamps: (readonly [seconds: number, offset: number])[] = [];

  constructor(
    { file, offset, db, position, timeline, marks, lastMs, keys }: StretchStart,
    options: FollowOptions,
    onDestructive?: (found: FoundDestructive) => void,
  ) {
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
          timestamp: (seconds, at) => void this.stamps.push([seconds, at]),
        },
      },
    );
    marks.shipped(offset);
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
