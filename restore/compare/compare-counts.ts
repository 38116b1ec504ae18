import type { Redis } from 'ioredis';
import { readInfo } from '../../redis/info.ts';
import type { PutKeysFigures } from '../keys/figures.ts';

/** What there was before, what was put, and so what there has to be. */
export interface ExpectedCounts {
  /** Keys by database before the restore (`TargetFacts.keysByDatabase`). */
  readonly before: Readonly<Record<string, number>>;
  readonly put: Pick<PutKeysFigures, 'restored' | 'replaced' | 'byDatabase'>;
  /** Others may have written since: then counts that differ contradict nothing. */
  readonly othersMayWrite: boolean;
  /** `expired_keys` of INFO stats before the restore, where it was read: keys that have expired since are reckoned in. */
  readonly expiredKeysBefore?: number;
}

export interface CountComparison {
  readonly result: 'ok' | 'contradicted' | 'not-possible';
  /** A sentence. */
  readonly detail: string;
  readonly databases: readonly {
    readonly db: number;
    /** At least and at most: which of several databases the replaced keys were in is not counted. */
    readonly expected: readonly [number, number];
    readonly found: number;
  }[];
}

/**
 * Compares how many keys each database has with how many it had and were put. A server lets keys go by itself when their
 * time has passed: fewer are right as far as so many have expired (or, where that was not counted, have an expiry).
 */
export async function compareCounts(redis: Redis, expected: ExpectedCounts): Promise<CountComparison> {
  const info = await readInfo(redis, 'everything');
  const found = new Map<number, { keys: number; expires: number }>();
  for (const [field, value] of Object.entries(info)) {
    const [, db] = /^db(\d+)$/.exec(field) ?? [];
    const [, keys, expires] = /keys=(\d+),expires=(\d+)/.exec(value) ?? [];
    if (db !== undefined) found.set(Number(db), { keys: Number(keys), expires: Number(expires) });
  }
  const { before, put, othersMayWrite, expiredKeysBefore } = expected;
  const names = new Set([...Object.keys(before), ...Object.keys(put.byDatabase)].map(Number).concat([...found.keys()]));
  const databases = [...names]
    .sort((a, b) => a - b)
    .map((db) => {
      const [had = 0, came = 0] = [before[db], put.byDatabase[db]];
      const least = Math.max(had, had + came - put.replaced);
      return { db, expected: [least, had + came] as const, found: found.get(db)?.keys ?? 0 };
    });
  const total = databases.reduce((sum, each) => sum + each.found, 0);
  const due = Object.values(before).reduce((sum, keys) => sum + keys, 0) + put.restored;
  const gone = due - total;
  const short = databases.reduce((sum, each) => sum + Math.max(0, each.expected[0] - each.found), 0);
  const tooMany = databases.some((each) => each.found > each.expected[1]);
  const mayExpire = [...found.values()].some(({ expires }) => expires > 0) ? Number.POSITIVE_INFINITY : 0;
  const expired = expiredKeysBefore === undefined ? mayExpire : Number(info.expired_keys ?? 0) - expiredKeysBefore;
  if (!tooMany && gone >= 0 && gone <= expired && short <= expired) {
    const expiredText = gone > 0 ? `, ${gone} more ${gone === 1 ? 'has' : 'have'} expired` : '';
    return { result: 'ok', detail: `${total} keys are there${expiredText}`, databases };
  }
  const detail = `${total} keys are there, ${due} were to be expected by what was there before and what was put`;
  if (othersMayWrite) return { result: 'not-possible', detail: `${detail}; others may have written since`, databases };
  return { result: 'contradicted', detail, databases };
}
