import type { LossKind } from './judge-loss.ts';

/** A moment of the archive: all before it is in it. */
export interface GoodMoment {
  readonly timeline: number;
  readonly position: number;
}

/** A loss as it is told to people and runs: figures, and never a key. */
export interface ToldLoss {
  /** The same however often it is told. */
  readonly id: string;
  readonly kind: LossKind;
  readonly command?: string;
  readonly keysLost: number;
  readonly databases: readonly number[];
  /** When it was noticed, Unix ms. */
  readonly timeMs: number;
  /** When all was there the last time. */
  readonly goodMs: number;
  /** It was found long after it happened, where nobody had watched: nothing is fenced for it. */
  readonly late?: boolean;
  /** Absent where the file has not told it yet: right before the command. */
  readonly good?: GoodMoment;
}

const keys = (count: number): string => (count === 1 ? '1 key' : `${count} keys`);

/** What happened, one sentence. */
export function sentenceOfLoss(loss: Pick<ToldLoss, 'kind' | 'command' | 'keysLost' | 'databases'>): string {
  const { kind, command, keysLost, databases } = loss;
  const shown = databases.slice(0, 8).join(', ');
  const where =
    databases.length === 0
      ? ''
      : ` of ${databases.length === 1 ? 'database' : 'databases'} ${shown}${databases.length > 8 ? ', …' : ''}`;
  const gone = `${keys(keysLost)}${where}`;
  switch (kind) {
    case 'flush':
      return `${command ?? 'A flush'} took ${gone}.`;
    case 'swap':
      return `SWAPDB took ${gone} out of their place, and put much less there.`;
    case 'mass-delete':
      return `Within seconds ${gone} were deleted.`;
    case 'came-back-empty':
      return `Redis came back empty: ${gone} are gone.`;
    case 'came-back-with-less':
      return `Redis came back with less than it had: ${gone} are gone.`;
    case 'older':
      return 'Redis was started from an older file: what was written behind it is in the archive alone.';
    case 'shrank':
      return `${gone.charAt(0).toUpperCase()}${gone.slice(1)} are gone, and nothing that Redis counts explains it.`;
  }
}

/** Whether it leaves a command in the file: the state right before it is found by that. */
export const leavesCommand = (kind: string): boolean => ['flush', 'swap', 'mass-delete'].includes(kind);

/** Right before it, where no command in the file says it. */
function momentOfLoss({ kind, good }: Pick<ToldLoss, 'good'> & { readonly kind: string }): string | undefined {
  return leavesCommand(kind) || !good ? undefined : String(good.position);
}

/**
 * What the runbook is asked for beside its instance: a position, or the state right before the newest destructive command that
 * is not older than the loss. That command may be known for one only seconds later, as a mass removal is.
 */
export function askedOfRunbook(loss: Pick<ToldLoss, 'kind' | 'good' | 'goodMs'>): {
  readonly to?: string;
  readonly lossNotBefore?: string;
} {
  const to = momentOfLoss(loss);
  if (to !== undefined) return { to };
  return leavesCommand(loss.kind) ? { lossNotBefore: new Date(loss.goodMs).toISOString() } : {};
}

/** The command that a person types next. */
export function nextAfterLoss(instance: string, loss: { readonly kind: string; readonly good?: GoodMoment }): string {
  const to = momentOfLoss(loss);
  return `rewind runbook accidental-flush ${instance}${to === undefined ? '' : ` --to ${to}`}`;
}
