import { ApplicationFailure, currentUpdateInfo, setHandler } from '@temporalio/workflow';
import type { AnswerEvent } from '../activities/answers.ts';
import { type Answer, type AnswerKind, parseAnswer } from './gate-decision.ts';
import { type Answered, gateMessages } from './gate-messages.ts';
import type { Decision } from './gate-record.ts';
import type { RunStory } from './run-story.ts';

/**
 * Takes answers, by signal and by update, and writes down what became of each. Once open it stays so to the end of
 * the run, so that none is lost or fails for want of a handler.
 */
export class AnswerDesk {
  readonly decisions: Decision[] = [];
  readonly #story: RunStory;
  readonly #judge: (answer: Answer) => Answered;
  readonly #signals = new Map<AnswerKind, number>();

  /** @param judge says whether a well-formed answer counts, and lets it */
  constructor(story: RunStory, judge: (answer: Answer) => Answered) {
    this.#story = story;
    this.#judge = judge;
  }

  /** Answers that came together with the start are handed over at once: whoever judges must be ready. */
  open(): void {
    for (const { kind, signal, update, description } of gateMessages) {
      setHandler(signal, (payload) => void this.#take(kind, payload, this.#ordinal(kind)), { description });
      setHandler(update, (payload) => this.#updated(kind, payload), {
        description,
        // Synchronous: one that rejects must not be asked again and again. What it rejects is in no history.
        validator: (payload) => {
          const answer = parseAnswer(kind, payload);
          if (typeof answer === 'string') throw personsFailure('ANSWER_INVALID', answer);
        },
      });
    }
  }

  /** Writes down what happened beside the answers. */
  note(what: Decision['what'], message: string, about: Partial<Decision> = {}): void {
    this.decisions.push({ at: new Date().toISOString(), what, ...about, message });
    this.#story.tell(message);
  }

  /** Signals are counted by name: in that order the history has them. */
  #ordinal(kind: AnswerKind): AnswerEvent {
    const ordinal = (this.#signals.get(kind) ?? 0) + 1;
    this.#signals.set(kind, ordinal);
    return { via: 'signal', ordinal };
  }

  /** A refused one fails: a script that types the plain command cannot take it for an approval. */
  #updated(kind: AnswerKind, payload: unknown): Answered {
    const answered = this.#take(kind, payload, { via: 'update', updateId: currentUpdateInfo()?.id ?? '' });
    if (!answered.accepted) throw personsFailure('ANSWER_REFUSED', answered.message, answered);
    return answered;
  }

  /** Never throws: a signal, whatever is in it, must not fail a workflow task. */
  #take(kind: AnswerKind, payload: unknown, event: AnswerEvent): Answered {
    const answer = parseAnswer(kind, payload);
    const malformed = typeof answer === 'string';
    const answered = malformed ? refused(answer) : this.#judge(answer);
    const { accepted, message, gate, plan } = answered;
    const who = malformed ? undefined : answer.approver;
    this.decisions.push({
      at: new Date().toISOString(),
      what: 'answered',
      gate,
      plan,
      message,
      answer: {
        kind,
        accepted,
        event,
        planNamed: !malformed && answer.plan !== undefined,
        ...(malformed ? {} : { approver: who, choice: answered.choice ?? answer.choice, reason: answer.reason }),
      },
    });
    this.#story.tell(accepted ? message : `refused: ${kind}${who === undefined ? '' : ` of ${who}`}: ${message}`);
    return answered;
  }
}

export function refused(message: string, about: Partial<Answered> = {}): Answered {
  return { approvals: 0, required: 1, ...about, accepted: false, message };
}

/** What a person decided, or may not; the same again cannot help. */
export function personsFailure(type: string, message: string, details: object = {}): ApplicationFailure {
  return ApplicationFailure.create({ type, message, nonRetryable: true, details: [details] });
}
