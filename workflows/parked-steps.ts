import { condition } from '@temporalio/workflow';
import { type AnswerDesk, personsFailure, refused } from './answer-desk.ts';
import { type Answer, type ParkedStep, refusedWhileParked } from './gate-decision.ts';
import type { Answered } from './gate-messages.ts';
import type { GateShown } from './gate-shown.ts';
import { planDigest } from './plan-digest.ts';

export interface ParkRequest extends Omit<ParkedStep, 'plan'> {
  /** Code and sentence of what stopped it, and what to do next. */
  readonly code: string;
  readonly message: string;
  readonly next?: string;
  /** A sentence for each thing that is done and stands. */
  readonly alreadyDone: string;
  /** Ends the waiting when there is nothing to decide any more. */
  readonly until?: () => boolean;
}

/** What a person decided; undefined where `until` came first. */
export type ParkEnd =
  | { readonly kind: 'retry'; readonly input?: Readonly<Record<string, unknown>> }
  | { readonly kind: 'skip' };

interface Parked extends ParkRequest, ParkedStep {
  readonly showing: number;
  answer?: Answer;
}

/** The steps of a run that cannot go on; there may be several, since steps run side by side. */
export class ParkedSteps {
  readonly #parked: Parked[] = [];
  readonly #desk: AnswerDesk;
  readonly #changed: () => void;

  constructor(desk: AnswerDesk, changed: () => void) {
    this.#desk = desk;
    this.#changed = changed;
  }

  /**
   * Waits, without end, for what a person decides.
   *
   * @throws ApplicationFailure ABORTED
   */
  async park(request: ParkRequest, showing: number): Promise<ParkEnd | undefined> {
    const { step, code, message, until } = request;
    const parked: Parked = { ...request, showing, plan: planDigest({ step, code, message, showing }) };
    const about = { gate: 'parked', plan: parked.plan };
    this.#parked.push(parked);
    this.#changed();
    this.#desk.note('parked', `${step} is parked: ${code}: ${message}`, about);
    try {
      await condition(() => parked.answer !== undefined || until?.() === true);
    } finally {
      this.#parked.splice(this.#parked.indexOf(parked), 1);
      this.#changed();
    }
    if (parked.answer === undefined) return undefined;
    const { kind, approver, reason, input } = parked.answer;
    if (kind === 'abort') {
      const ended = `${approver} ended it at ${step}: ${reason}`;
      this.#desk.note('aborted', ended, about);
      throw personsFailure('ABORTED', ended, { step, approver, reason });
    }
    const skipped = kind === 'skip';
    this.#desk.note(
      skipped ? 'skipped' : 'retried',
      `${approver} had ${step} ${skipped ? 'left out' : 'tried again'}`,
      about,
    );
    return skipped ? { kind } : { kind: 'retry', input };
  }

  /** Counts an answer for the step that it names, else for the one that waits longest. Undefined: nothing is parked. */
  judge(answer: Answer): Answered | undefined {
    const open = this.#parked.filter((each) => each.answer === undefined);
    const parked = open.find(({ step, plan }) => step === answer.gate || plan === answer.plan) ?? open[0];
    if (!parked) return undefined;
    const about = { gate: 'parked', plan: parked.plan };
    const why = refusedWhileParked(parked, answer);
    if (why !== undefined) return refused(why, about);
    parked.answer = answer;
    return {
      accepted: true,
      ...about,
      approvals: 1,
      required: 1,
      message: `${answer.approver}: ${answer.kind} ${parked.step}`,
    };
  }

  shown(): readonly GateShown[] {
    return this.#parked.map(shownParked);
  }
}

function shownParked({ step, code, message, next, alreadyDone, plan, showing, safeToSkip }: Parked): GateShown {
  const skip = { id: 'skip', text: `Go on without ${step}.`, loses: 'what the step would have done' };
  const what = `\`${step}\` cannot go on: **${code}**: ${message}`;
  return {
    name: 'parked',
    plan,
    showing,
    summary: [what, ...(next ? [`Next: ${next}`] : []), `Done already: ${alreadyDone}`].join('\n\n'),
    choices: [
      { id: 'retry', text: `Try ${step} again, with corrected input where that helps.`, loses: 'nothing' },
      ...(safeToSkip ? [skip] : []),
      {
        id: 'abort',
        text: 'End the run; what was changed for the time being is put back.',
        loses: 'what is not done yet',
      },
    ],
    approvals: 0,
    required: 1,
    parked: { step, code, ...(next ? { next } : {}) },
  };
}
