/**
 * `error`: a backup or its proof cannot work as things stand. `warning`: it works, and something about it may cost data.
 * `info`: worth knowing; it fails no check.
 */
export type Severity = 'error' | 'warning' | 'info';

/** One thing that `check` found. */
export interface Finding {
  /** UPPER_SNAKE, to alert on. */
  readonly code: string;
  readonly severity: Severity;
  /** What it means for the backups, in sentences. */
  readonly consequence: string;
  /** The command that mends it, or the line to change. Never holds a secret. */
  readonly fix: string;
}

/** What an error says, as it crosses processes. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly next: string;
}

const RANK: Readonly<Record<Severity, number>> = { error: 0, warning: 1, info: 2 };

/** Worst first; within a severity as they were found, which is the order of a backup's way. */
export function inOrder(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) => RANK[a.severity] - RANK[b.severity]);
}

export function failureFinding(where: string, failure: Failure): Finding {
  const { code, message, next } = failure;
  return { code, severity: 'error', consequence: `${where}: ${message}`, fix: next };
}
