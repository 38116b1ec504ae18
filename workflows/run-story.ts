import { defineQuery, setCurrentDetails, setHandler, upsertSearchAttributes } from '@temporalio/workflow';
import type { GateShown } from './gate-shown.ts';
import { searchAttributes } from './search-attributes.ts';

/** The answer to the query `progress`; live figures of the running step are in its activity's heartbeat. */
export interface Progress {
  readonly phase: string;
  readonly step: string;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: string;
  /** What a person is asked. Of several the one that has a deadline. */
  readonly gate?: GateShown;
  /** Every step that waits for a person, where one does. */
  readonly parked?: readonly GateShown[];
}

/** A step of a run and when it was begun, ISO 8601. */
export interface StepTaken {
  readonly name: string;
  readonly startedAt: string;
}

/** That a run waits for a person: what it shows, and the phase that it is found by meanwhile. */
export interface Waiting extends Pick<Progress, 'gate' | 'parked'> {
  readonly phase: 'waiting-for-approval' | 'parked';
  /** Markdown. */
  readonly page: string;
}

export const progressQuery = defineQuery<Progress>('progress');

/** What a run tells of itself: the query, the search attributes, and the page that a person reads in the UI. */
export class RunStory {
  readonly #title: string;
  readonly #lines: string[] = [];
  readonly #steps: StepTaken[] = [];
  #progress: Progress = { phase: 'starting', step: 'readPolicy' };
  #waiting?: Waiting;

  constructor(title: string, instance: string) {
    this.#title = title;
    upsertSearchAttributes([
      { key: searchAttributes.instance, value: instance },
      { key: searchAttributes.phase, value: 'starting' },
    ]);
    setHandler(progressQuery, () => {
      if (!this.#waiting) return this.#progress;
      const { phase, gate, parked } = this.#waiting;
      return { ...this.#progress, phase, ...(gate ? { gate } : {}), ...(parked ? { parked } : {}) };
    });
  }

  /** A new phase; told to the outside, so one event in the history each. A run that waits for a person is found by that. */
  phase(phase: string, attributes: { backupId?: string; outcome?: string } = {}): void {
    this.#progress = { ...this.#progress, phase };
    upsertSearchAttributes([
      { key: searchAttributes.phase, value: this.#shownPhase },
      ...(attributes.backupId ? [{ key: searchAttributes.backupId, value: attributes.backupId }] : []),
      ...(attributes.outcome ? [{ key: searchAttributes.outcome, value: attributes.outcome }] : []),
    ]);
    this.#show();
  }

  /** What was done so far, in its order; of the last one it is not known here whether it has ended. */
  get steps(): readonly StepTaken[] {
    return this.#steps;
  }

  /** Every sentence that was told. */
  get told(): readonly string[] {
    return this.#lines;
  }

  step(step: string): void {
    this.#steps.push({ name: step, startedAt: new Date().toISOString() });
    this.#progress = { phase: this.#progress.phase, step };
    this.#show(`… ${step}`);
  }

  /** A sentence with the figures of a finished step. */
  tell(sentence: string, figures: Pick<Progress, 'done' | 'total' | 'unit'> = {}): void {
    this.#progress = { ...this.#progress, ...figures };
    this.#lines.push(sentence);
    this.#show();
  }

  /** What a person is asked, or undefined when nobody is: then the phase is again what it was. */
  waits(waiting: Waiting | undefined): void {
    const before = this.#shownPhase;
    this.#waiting = waiting;
    const phase = this.#shownPhase;
    if (phase !== before) upsertSearchAttributes([{ key: searchAttributes.phase, value: phase }]);
    this.#show();
  }

  get #shownPhase(): string {
    return this.#waiting?.phase ?? this.#progress.phase;
  }

  #show(now?: string): void {
    setCurrentDetails(
      [
        `**${this.#title}: ${this.#shownPhase}**`,
        '',
        ...(this.#waiting ? [this.#waiting.page, ''] : []),
        ...this.#lines.map((line) => `- ${line}`),
        ...(now ? [now] : []),
      ].join('\n'),
    );
  }
}
