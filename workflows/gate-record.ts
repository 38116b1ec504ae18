import type { AnswerEvent, AnswersOnRecord } from '../activities/answers.ts';
import type { AnswerKind, Approval } from './gate-decision.ts';

/** One thing that happened at the gates of a run, for the incident report. */
export interface Decision {
  /** ISO 8601, as the workflow saw it. */
  readonly at: string;
  readonly what:
    | 'shown'
    | 'answered'
    | 'voided'
    | 'look-failed'
    | 'reminded'
    | 'approved'
    | 'rejected'
    | 'timed-out'
    | 'parked'
    | 'retried'
    | 'skipped'
    | 'aborted'
    | 'cancelled';
  readonly gate?: string;
  /** Digest of what was shown then. */
  readonly plan?: string;
  /** In words, for a post-mortem. */
  readonly message: string;
  /** Of an answer. */
  readonly answer?: {
    readonly kind: AnswerKind;
    readonly accepted: boolean;
    /** A claim; absent where the payload named nobody. */
    readonly approver?: string;
    readonly choice?: string;
    readonly reason?: string;
    /** False where it named no plan, and so was counted for the one that was open at its arrival. */
    readonly planNamed: boolean;
    readonly event: AnswerEvent;
    /** Who Temporal says that it was, once the history was read. */
    readonly identity?: string;
    readonly eventId?: string;
  };
  readonly voided?: readonly Approval[];
}

/** The decisions with the identities that the history has for them. Refused forms of updates never get into a history. */
export function withIdentities(decisions: readonly Decision[], record: AnswersOnRecord): readonly Decision[] {
  const found = new Map(record.answers.map((recorded) => [keyOf(recorded.kind, recorded.event), recorded]));
  return decisions.map((decision) => {
    const recorded = decision.answer && found.get(keyOf(decision.answer.kind, decision.answer.event));
    if (!decision.answer || !recorded) return decision;
    const { identity, eventId } = recorded;
    return { ...decision, answer: { ...decision.answer, ...(identity ? { identity } : {}), eventId } };
  });
}

const keyOf = (kind: string, event: AnswerEvent) =>
  event.via === 'update' ? `update ${event.updateId}` : `signal ${kind} ${event.ordinal}`;
