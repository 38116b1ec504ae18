import type { Approval, Choice } from './gate-decision.ts';
import type { GateShown } from './gate-shown.ts';

/** What is shown at a gate, and may change while it waits. */
export interface GatePlan {
  /** Markdown: what, why, how long. */
  readonly summary: string;
  readonly choices: readonly Choice[];
  /** Id of the choice that an answer without one stands for. */
  readonly default?: string;
  /** JSON. Its digest, with the choices' ids, binds the approvals: nothing that changes by itself, such as an age. */
  readonly plan: unknown;
}

export interface GateRequest extends GatePlan {
  readonly name: string;
  /** Looks at the world again; undefined: as it was. Called while waiting, and once more when it is approved. */
  readonly refresh?: () => Promise<GatePlan | undefined>;
  /** In milliseconds; default one minute. */
  readonly refreshEveryMs?: number;
  readonly reminders?: {
    /** In milliseconds; default a third of the time that the gate is open. */
    readonly everyMs?: number;
    readonly send?: (gate: GateShown) => Promise<unknown>;
  };
}

export interface GateAnswer {
  readonly outcome: 'approved';
  readonly choice: string;
  /** Those that agree on it. */
  readonly approvals: readonly Approval[];
  /** Digest of the plan that they approved. */
  readonly plan: string;
}

/** How many must approve, within which time, and who may not. */
export interface GateRules {
  readonly required: number;
  readonly timeoutMs: number;
  readonly excluded?: string;
}
