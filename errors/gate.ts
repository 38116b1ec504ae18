import type { ErrorEntry } from './entry.ts';

export const gateErrors = {
  GATE_REJECTED: {
    when: 'A person rejected what a run showed at a gate.',
    safe: 'Nothing of the rejected plan was done; what the run had changed for the time being, such as a fence, is put back.',
    next: 'Read the reason in the message, then start the runbook again when it is settled.',
    retryable: false,
  },
  GATE_TIMED_OUT: {
    when: 'Nobody, or too few, approved at a gate within approval.timeout, which counts as rejected.',
    safe: 'Nothing of the plan was done; what the run had changed for the time being, such as a fence, is put back.',
    next: 'Start the runbook again and approve in time: rewind status shows what waits for a person',
    retryable: false,
  },
  ABORTED: {
    when: 'A person ended a run while a step of it could not go on.',
    safe: 'What was done before that step stands, and the report of the run names it; what was changed for the time being is put back.',
    next: 'Read the report of the run, mend what stopped the step, then start the runbook again.',
    retryable: false,
  },
  ANSWER_REFUSED: {
    when: 'An answer to a gate or a parked step does not count: nothing is asked, another plan is shown, the choice is unknown, or the approver may not.',
    safe: 'The run goes on waiting as before; the refused answer stands in its record and is not kept for later.',
    next: 'Look at what is asked now, then answer that: rewind status',
    retryable: false,
  },
  ANSWER_INVALID: {
    when: 'An answer has the wrong form: no object, no approver, or no reason where one is needed.',
    safe: 'The run did not take it; it goes on waiting as before.',
    next: 'Send one JSON object: approve {"approver":"you"}, reject and abort {"approver":"you","reason":"why"}',
    retryable: false,
  },
  RUN_UNKNOWN: {
    when: 'No workflow of this id is running.',
    safe: 'Nothing was answered or changed.',
    next: 'Use a workflow id as it is printed by: rewind status',
    retryable: false,
  },
  RUN_SILENT: {
    when: 'A workflow runs, but no orchestrator carries it on, so that it cannot say what it waits for or take an answer.',
    safe: 'The run keeps its place and goes on when a worker is there.',
    next: 'rewind worker --role orchestrator, then answer again; or leave the answer as a signal, which is stored: temporal workflow signal --name approve',
    retryable: true,
  },
} as const satisfies Record<string, ErrorEntry>;
