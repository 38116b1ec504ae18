import { defineSignal, defineUpdate } from '@temporalio/workflow';
import { type AnswerKind, answerKinds } from './gate-decision.ts';

/** What an update answers, and what the details of a refused one carry. */
export interface Answered {
  readonly accepted: boolean;
  /** Name of the gate that it was counted for; `parked` for a step that waits. */
  readonly gate?: string;
  /** Digest of what was shown there. */
  readonly plan?: string;
  /** How many agree now, of `required`. */
  readonly approvals: number;
  readonly required: number;
  /** The choice that it counts for. */
  readonly choice?: string;
  readonly message: string;
}

/** INTERFACE: signals and updates have the same names and payloads. The payload is judged, so it is unknown here. */
export const gateMessages = answerKinds.map((kind) => ({
  kind,
  signal: defineSignal<[payload: unknown]>(kind),
  update: defineUpdate<Answered, [payload: unknown]>(kind),
  description: descriptions(kind),
}));

function descriptions(kind: AnswerKind): string {
  switch (kind) {
    case 'approve':
      return 'at a gate: { approver, gate?, plan?, choice?, reason? }';
    case 'reject':
      return 'at a gate: { approver, reason }';
    case 'retry':
      return 'while parked: { approver, input? }';
    case 'skip':
      return 'while parked, where it is safe: { approver }';
    case 'abort':
      return 'while parked: { approver, reason }';
  }
}
