import type { StepIO } from '../../process/step-io.ts';

/** How an append-only file is followed. Times in ms, sizes in bytes; one object, so that tests shorten and lengthen. */
export interface FollowOptions {
  /** Between two looks at the manifest and the file's size. */
  readonly pollMs: number;
  /** Between two questions to Redis: who are you, is the append-only file on? */
  readonly askMs: number;
  /** So long files and a server that writes must contradict each other before it is said that they are another's. */
  readonly doubtMs: number;
  /** A segment is cut when so much is unshipped … */
  readonly segmentBytes: number;
  /** … or when its first byte was seen so long ago. */
  readonly segmentMs: number;
  /** What came while the one before was being stored is one segment up to this length. */
  readonly mostSegmentBytes: number;
  /** A longer transaction is cut between its commands. */
  readonly transactionBytes: number;
  /** What may be held of files that Redis has deleted while the store does not take them. */
  readonly spoolBytes: number;
  /** A step of the machine's clock that is recorded. */
  readonly clockStepMs: number;
  /** Before the first repetition after an error of the store; doubled up to the other. */
  readonly retryMs: number;
  readonly retryMostMs: number;
  /** Between two looks whether another agent has begun a timeline. */
  readonly rivalMs: number;
  /** A loss of so many keys, and of this share of the data, … */
  readonly massKeys: number;
  readonly massShare: number;
  /** … within so long is an event. */
  readonly massMs: number;
  /** Unix ms, by the clock of Redis' machine. */
  readonly now: () => number;
}

export const followDefaults: FollowOptions = {
  pollMs: 50,
  askMs: 1_000,
  doubtMs: 5_000,
  segmentBytes: 4 * 1024 * 1024,
  segmentMs: 3_000,
  mostSegmentBytes: 16 * 1024 * 1024,
  transactionBytes: 64 * 1024 * 1024,
  spoolBytes: 2 * 1024 ** 3,
  clockStepMs: 2_000,
  retryMs: 500,
  retryMostMs: 30_000,
  rivalMs: 30_000,
  massKeys: 10_000,
  massShare: 0.1,
  massMs: 10_000,
  now: Date.now,
};

/**
 * - `waiting`: for Redis, or for the rewrite with which its append-only file begins
 * - `off`: `appendonly no`: what is written now is in no archive
 * - `following`: what is written is shipped
 * - `store`: the store does not take it; it is held on the disk
 * - `damaged`: the file cannot be read on; the next rewrite begins anew
 */
export type FollowState = 'waiting' | 'off' | 'following' | 'store' | 'damaged';

/** How far the archive is, for heartbeats and for people. */
export interface FollowFigures {
  readonly state: FollowState;
  readonly timeline: number;
  /** All before it is in the repository. */
  readonly position: number;
  readonly unshippedBytes: number;
  /** Since the oldest byte that is not in the repository was seen; 0: all is. */
  readonly lagMs: number;
  /** Since this follower began. */
  readonly segments: number;
  readonly shippedBytes: number;
  readonly bases: number;
  /** Of files that Redis has deleted, held because they are not shipped. */
  readonly heldBytes: number;
  /** Gaps that this follower recorded. */
  readonly gaps: number;
  /** How often what was held was let go of for want of room: a gap comes of it. */
  readonly dropped: number;
  /** The sentence of what is wrong. */
  readonly note?: string;
}

/** A command that takes away much, as its event has it. */
export interface FoundDestructive {
  readonly timeline: number;
  /** Of the command, or of the MULTI that it is in. */
  readonly position: number;
  /** When its bytes were seen first: Unix ms, by the clock of Redis' machine. */
  readonly timeMs: number;
  readonly until: { readonly position: number; readonly timeMs: number };
  /** `FLUSHALL`, `FLUSHDB`, `SWAPDB`; `DEL` or `UNLINK` of very many keys. */
  readonly command: string;
  readonly database: number;
  /** Keys that it named, of DEL and UNLINK: so far. */
  readonly keys?: number;
}

export interface FollowIO extends StepIO {
  /** After each look at most, when something changed. */
  readonly onFigures?: (figures: FollowFigures) => void;
  /**
   * When a destructive command was read from the file, which is before it is in the archive: at least once each, more often
   * where a file is read again. A mass removal that goes on is told when it is seen to be one. Must not throw.
   */
  readonly onDestructive?: (found: FoundDestructive) => void;
}
