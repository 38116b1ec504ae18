/** What every incident runbook answers. */
export interface RunbookResult {
  readonly instance: string;
  readonly kind: 'node-crash' | 'data-corruption' | 'accidental-flush';
  /** True where the data is back, or was found to be there. */
  readonly recovered: boolean;
  /** What was done, for a person to read. */
  readonly sentences: readonly string[];
  readonly keys?: {
    readonly restored: number;
    readonly kept: number;
    readonly replaced: number;
    readonly expired: number;
  };
  /** Seconds for which writes were fenced. */
  readonly fencedSeconds?: number;
  /** Name of the incident report in the repository. */
  readonly report?: string;
}
