/** What is known of an error code wherever it is thrown. */
export interface ErrorEntry {
  /** One sentence: when this code is used (docs/ERRORS.md prints it). */
  readonly when: string;
  /** What the reader need not fear: what was not touched, what still stands. */
  readonly safe: string;
  /** The next thing to do, as a command where there is one. */
  readonly next: string;
  /** True where the same step may succeed when it is done again. */
  readonly retryable: boolean;
}
