/** Bytes [start, end) of the archive that are left out of a replay: whole commands, also of a transaction, or transactions. */
export interface Omission {
  readonly start: number;
  readonly end: number;
}

/** One stretch of a moment's past, all on one timeline. */
export interface Leg {
  readonly timeline: number;
  readonly from: number;
  readonly to: number;
}

/**
 * A moment, found: all that a later step needs to lay it down, on whatever machine. Plain data without a key's name.
 */
export interface Moment {
  readonly instance: string;
  readonly identity: string;
  readonly timeline: number;
  /** Its cut: all of the archive before it, nothing from it on. Between two commands, never inside of a transaction. */
  readonly position: number;
  /** Unix ms: when the last of what is in there was seen to be written. */
  readonly timeMs: number;
  /** How exactly the cut is known in time; a sentence. */
  readonly precision: string;
  /** Where the replay begins. */
  readonly base: {
    readonly timeline: number;
    readonly position: number;
    readonly kind: 'rdb' | 'aof';
    readonly sizeBytes: number;
    readonly sha256: string;
  };
  /** From the base to the cut, the oldest first; empty where the cut is the base's own position. */
  readonly legs: readonly Leg[];
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string };
  /** Sentences for a person: what was chosen, what the archive does not have. */
  readonly tells: readonly string[];
  readonly omit?: readonly Omission[];
}

/** What a moment takes on a disk, in bytes: its base and all that is replayed. */
export const momentBytes = ({ base, legs }: Pick<Moment, 'base' | 'legs'>): number =>
  base.sizeBytes + legs.reduce((sum, { from, to }) => sum + to - from, 0);
