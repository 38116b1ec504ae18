import type { Finding } from './finding.ts';
import type { Observed } from './observed.ts';
import type { RedisFacts } from './redis-facts.ts';
import { durationInWords } from './words.ts';

/** Clocks further apart than this mislead a person who looks for a moment, in milliseconds. */
const SKEW_MS = 60_000;

/** Times of backups are Redis' own; other clocks that differ mislead, and a store refuses signatures by 15 minutes. */
export function clockFindings({ clockSkewMs }: RedisFacts, { seenBy }: Observed): Finding[] {
  if (Math.abs(clockSkewMs) <= SKEW_MS) return [];
  const who = seenBy === 'here' ? 'this machine’s' : `the ${seenBy}’s`;
  return [
    {
      code: 'CLOCK_SKEW',
      severity: 'warning',
      consequence: `Redis’ clock is ${aside(clockSkewMs)} ${who}: backups are dated by Redis’ clock, so a moment that is asked for later is looked for at the wrong time.`,
      fix: NTP,
    },
  ];
}

export function storeClockFindings(clockSkewMs: number | undefined): Finding[] {
  if (clockSkewMs === undefined || Math.abs(clockSkewMs) <= SKEW_MS) return [];
  return [
    {
      code: 'STORE_CLOCK_SKEW',
      severity: 'warning',
      consequence: `The store’s clock is ${aside(clockSkewMs)} the writer’s: from 15 minutes on a store refuses signed requests, and no backup can be stored.`,
      fix: NTP,
    },
  ];
}

/** `3 min ahead of` */
function aside(skewMs: number): string {
  return `${durationInWords(Math.abs(skewMs) / 1000)} ${skewMs > 0 ? 'ahead of' : 'behind'}`;
}

const NTP = 'timedatectl set-ntp true (on both machines)';
