import { defineQuery, setCurrentDetails, setHandler, upsertSearchAttributes } from '@temporalio/workflow';
import { searchAttributes } from './search-attributes.ts';

/** The answer to the query `progress`; live figures of the running step are in its activity's heartbeat. */
export interface Progress {
  readonly phase: string;
  readonly step: string;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: string;
}

export const progressQuery = defineQuery<Progress>('progress');

/** What a run tells of itself: the query, the search attributes, and the page that a person reads in the UI. */
export class RunStory {
  readonly #title: string;
  readonly #lines: string[] = [];
  #progress: Progress = { phase: 'starting', step: 'readPolicy' };

  constructor(title: string, instance: string) {
    this.#title = title;
    upsertSearchAttributes([
      { key: searchAttributes.instance, value: instance },
      { key: searchAttributes.phase, value: 'starting' },
    ]);
    setHandler(progressQuery, () => this.#progress);
  }

  /** A new phase; told to the outside, so one event in the history each. */
  phase(phase: string, attributes: { backupId?: string; outcome?: string } = {}): void {
    this.#progress = { ...this.#progress, phase };
    upsertSearchAttributes([
      { key: searchAttributes.phase, value: phase },
      ...(attributes.backupId ? [{ key: searchAttributes.backupId, value: attributes.backupId }] : []),
      ...(attributes.outcome ? [{ key: searchAttributes.outcome, value: attributes.outcome }] : []),
    ]);
    this.#show();
  }

  step(step: string): void {
    this.#progress = { phase: this.#progress.phase, step };
    this.#show(`… ${step}`);
  }

  /** A sentence with the figures of a finished step. */
  tell(sentence: string, figures: Pick<Progress, 'done' | 'total' | 'unit'> = {}): void {
    this.#progress = { ...this.#progress, ...figures };
    this.#lines.push(`- ${sentence}`);
    this.#show();
  }

  #show(now?: string): void {
    setCurrentDetails(
      [`**${this.#title}: ${this.#progress.phase}**`, '', ...this.#lines, ...(now ? [now] : [])].join('\n'),
    );
  }
}
