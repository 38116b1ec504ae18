import type { Moment } from './facts.ts';

export type ChoiceKind =
  | 'promote'
  | 'replica-of'
  | 'dump-from'
  | 'start-local'
  | 'start-empty'
  | 'archive'
  | 'backup'
  | 'other-instance'
  | 'look-again'
  | 'leave-running';

/** One way on, as a gate shows it. */
export interface CrashChoice {
  /** `promote:10.0.0.6:6379`, `backup:20261124T…`, `archive`, `start-local`. */
  readonly id: string;
  readonly kind: ChoiceKind;
  /** Address, backup or instance. */
  readonly target?: string;
  readonly text: string;
  /** What is gone when it is taken, as a sentence. */
  readonly loses: string;
  readonly losesSeconds?: number;
  /** Keys that are there afterwards, as far as they are counted. */
  readonly keys?: number;
  /** Up to when all writes are in it. */
  readonly safeUntil?: Moment;
  /** Every acknowledged write is in it, as far as can be known. */
  readonly losesNothingKnown?: boolean;
  /** Replicas that follow the node: they have to be taken off it first, or they copy what it starts with. */
  readonly detachFirst?: readonly string[];
  /** host:port of the node as `target` knows it: what was taken off for its dump follows the node again afterwards. */
  readonly followAgain?: string;
}
