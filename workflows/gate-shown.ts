import type { Approval, Choice } from './gate-decision.ts';

/** `gate` in the answer to the query `progress`: what a person is asked. */
export interface GateShown {
  /** `parked` where a step cannot go on. */
  readonly name: string;
  /** Digest of what is shown. */
  readonly plan: string;
  /** Counts what was shown in this run, from 1: two showings of one plan differ in it. */
  readonly showing: number;
  /** Markdown. */
  readonly summary: string;
  readonly choices: readonly Choice[];
  /** What an answer without a choice stands for; absent: it has to name one. */
  readonly default?: string;
  /** ISO 8601; absent: it waits without end. */
  readonly deadline?: string;
  /** How many agree, of `required`. */
  readonly approvals: number;
  readonly required: number;
  /** Who approved so far, and what. */
  readonly approvers?: readonly Approval[];
  /** Set once enough approvals agree, while the world is looked at once more. */
  readonly approved?: string;
  /** Of a parked step. */
  readonly parked?: { readonly step: string; readonly code: string; readonly next?: string };
}
