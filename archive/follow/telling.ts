import type { FollowFigures, FollowState } from './follow-options.ts';

const begun: FollowFigures = {
  ...{ state: 'waiting', timeline: 0, position: 0, unshippedBytes: 0, lagMs: 0, segments: 0, shippedBytes: 0 },
  ...{ bases: 0, heldBytes: 0, gaps: 0, dropped: 0 },
};

/** The figures of a follower, and who is told of them. */
export class Telling {
  readonly #onFigures: ((figures: FollowFigures) => void) | undefined;
  #figures = begun;

  constructor(onFigures?: (figures: FollowFigures) => void) {
    this.#onFigures = onFigures;
  }

  get figures(): FollowFigures {
    return this.#figures;
  }

  say(state: FollowState, note?: string): void {
    const { note: _, ...figures } = this.#figures;
    this.#figures = { ...figures, state, ...(note === undefined ? {} : { note }) };
    this.#onFigures?.(this.#figures);
  }

  /** At each look. @param off whether the server has its append-only file off */
  look(off: boolean, figures: Pick<FollowFigures, 'timeline' | 'position' | 'unshippedBytes' | 'lagMs'>): void {
    const { state } = this.#figures;
    const goesOn = state === 'off' || state === 'waiting' || state === 'damaged' ? 'following' : state;
    this.#figures = { ...this.#figures, state: off ? 'off' : goesOn, ...figures };
    this.#onFigures?.(this.#figures);
  }

  /** At each look, of whoever says its state itself. */
  figure(figures: Pick<FollowFigures, 'timeline' | 'position' | 'unshippedBytes' | 'lagMs'>): void {
    this.#figures = { ...this.#figures, ...figures };
    this.#onFigures?.(this.#figures);
  }

  count(figure: 'segments' | 'shippedBytes' | 'bases' | 'gaps' | 'dropped', by = 1): void {
    this.#figures = { ...this.#figures, [figure]: this.#figures[figure] + by };
  }

  held(heldBytes: number): void {
    this.#figures = { ...this.#figures, heldBytes };
  }
}
