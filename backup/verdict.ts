import type { Check } from '../sandbox/check.ts';

export interface Verdict {
  readonly state: 'verified' | 'unproven' | 'failed';
  /** Why it is not verified: the first contradiction, else the first thing that could not be shown. */
  readonly reason?: string;
  /** A sentence where the backup may itself show the disaster. */
  readonly flagged?: string;
}

/** Without these shown to be right nothing is called verified. */
const REQUIRED = [
  'ctime',
  'crc64',
  'resizedb',
  'stored',
  'sha256',
  'redis-check-rdb',
  'load',
  'loaded-keys',
  'functions',
  'sample',
] as const;

/**
 * The state of a backup from its checks: one contradiction fails it; anything that could not be shown, or was not even
 * tried, leaves it unproven.
 *
 * @param keys undefined where nobody could count them
 * @param previousKeys keys of the last verified backup; undefined when there is none
 * @param flagBelow fraction of `previousKeys` under which a dataset is suspicious
 */
export function judge(
  checks: readonly Check[],
  keys: number | undefined,
  previousKeys: number | undefined,
  flagBelow: number,
): Verdict {
  const flagged = flag(keys, previousKeys, flagBelow);
  const contradicted = checks.find((check) => check.result === 'contradicted');
  if (contradicted) return { state: 'failed', reason: contradicted.detail, flagged };
  const open = checks.find((check) => check.result === 'not-possible');
  if (open) return { state: 'unproven', reason: open.detail, flagged };
  const missing = REQUIRED.find((name) => !checks.some((check) => check.name === name));
  if (missing) return { state: 'unproven', reason: `the check ${missing} was not made`, flagged };
  return { state: 'verified', flagged };
}

function flag(keys: number | undefined, previousKeys: number | undefined, flagBelow: number): string | undefined {
  if (keys === undefined) return undefined;
  if (keys === 0) return 'the dataset is empty: it may be the disaster itself';
  if (previousKeys !== undefined && keys < previousKeys * flagBelow) {
    return `${keys} keys, the last verified backup has ${previousKeys}: it may be the disaster itself`;
  }
  return undefined;
}
