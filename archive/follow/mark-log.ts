/** `[ms, upTo]`: when looked at `ms`, the file had `upTo` bytes. */
export type Mark = readonly [ms: number, upTo: number];

/** More of one segment tell nobody more. */
const mostInSegment = 1_000;
const mostHeld = 8_000;

/** When which bytes of a file were first seen. Bounded: where much is unshipped, what is old is known less exactly. */
export class MarkLog {
  #marks: Mark[] = [];
  #upTo = 0;

  /** How far the file went at the last look. */
  get upTo(): number {
    return this.#upTo;
  }

  /** A look at the file; without growth nothing is kept. One that became shorter lost its end. */
  look(ms: number, upTo: number): void {
    if (upTo < this.#upTo) {
      this.#marks = this.#marks.filter(([, each]) => each <= upTo);
      this.#upTo = upTo;
      return;
    }
    if (upTo === this.#upTo) return;
    this.#upTo = upTo;
    this.#marks.push([ms, upTo]);
    // Every second one goes, never the last: it is the file's end.
    if (this.#marks.length > mostHeld) this.#marks = this.#marks.filter((_, i, { length }) => (length - i) % 2 === 1);
  }

  /** When the byte at `offset` was seen first; undefined where it was not seen yet. */
  seenAt(offset: number): number | undefined {
    return this.#marks.find(([, upTo]) => upTo > offset)?.[0];
  }

  /** The marks of [.., end): ascending in both, the last one at `end`. What lies before `end` is forgotten with `shipped`. */
  upToEnd(end: number): Mark[] {
    const within = this.#marks.filter(([, upTo]) => upTo < end);
    const last = this.seenAt(end - 1);
    const marks: Mark[] = last === undefined ? within : [...within, [last, end]];
    const every = Math.ceil(marks.length / mostInSegment);
    return every <= 1 ? marks : marks.filter((_, i) => (marks.length - 1 - i) % every === 0);
  }

  shipped(end: number): void {
    this.#marks = this.#marks.filter(([, upTo]) => upTo > end);
  }
}
