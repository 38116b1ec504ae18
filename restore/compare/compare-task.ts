import type { RedisTarget } from '../../redis/connection.ts';
import type { TtlMode } from '../keys/expiry-rule.ts';
import type { KeySelection } from '../keys/key-selection.ts';

/** What is compared with what, and how the keys were put there. Plain data: it goes from one process to another. */
export interface CompareTask {
  readonly target: RedisTarget;
  /** The dump that the keys were put from, on local disk. */
  readonly dumpPath: string;
  /** As they were restored: what was asked for, and what became of expiries. */
  readonly selection: KeySelection;
  readonly ttl: TtlMode;
  readonly shiftMs: number;
  /**
   * The engine's file of names (`ConflictNames`): its keys with the outcome `kept` are the live server's own and are not
   * compared. Absent where nothing was kept.
   */
  readonly namesFile?: string;
  /** Commands cannot say when a stream's consumers were last seen, and an older server knows less of a stream. */
  readonly by: 'slices' | 'commands';
  /**
   * True where others may write since the restore: what differs then was changed since or is wrong, and nobody can tell
   * which.
   */
  readonly othersMayWrite: boolean;
  /** A local file for the names of keys that differ, JSON lines; made anew, or continued with the cursor. */
  readonly differencesFile: string;
  /** Compare only so many keys, chosen by chance, the same for the same seed. Absent: every key. */
  readonly sample?: { readonly count: number; readonly seed: number };
  /** Default: as fast as it goes. */
  readonly keysPerSecond?: number;
}

/** What came of the keys of the dump that were looked at. */
export interface CompareFigures {
  readonly same: number;
  /** There, with other content or another expiry. Where others may write these are `changedSince`. */
  readonly differing: number;
  /** Not there, although they have no expiry that has passed. Where others may write these are `goneSince`. */
  readonly missing: number;
  /** There and other than in the dump: changed since the restore, or wrong; it cannot be told which. */
  readonly changedSince: number;
  /** Not there: deleted since the restore, or never there; it cannot be told which. */
  readonly goneSince: number;
  /** Their time has passed: a restore leaves them out, and the server lets them go. */
  readonly expired: number;
  /** Of types that ordinary commands cannot read element by element, such as modules'. They are there. */
  readonly unreadable: number;
  /** Live keys that the restore left alone. */
  readonly kept: number;
  readonly notSelected: number;
}

/** From where to go on. Plain data of a few numbers, for a heartbeat. */
export interface CompareCursor {
  /** Keys whose record begins before this offset in the dump are done with. */
  readonly offset: number;
  readonly figures: CompareFigures;
  /** How long the file of differences was. */
  readonly differencesBytes: number;
}

export const noCompareFigures: CompareFigures = {
  same: 0,
  differing: 0,
  missing: 0,
  changedSince: 0,
  goneSince: 0,
  expired: 0,
  unreadable: 0,
  kept: 0,
  notSelected: 0,
};
