import { describe, expect, test } from 'vitest';
import { type CommandCounts, callsSince } from '../../incident/evidence/command-counts.ts';
import { judgeLoss } from '../../incident/evidence/loss-kind.ts';
import { missingPatterns } from '../../incident/evidence/missing-patterns.ts';

const keys = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => Buffer.from(`${prefix}${index}`));

describe('what missing keys have in common', () => {
  test('is the shortest beginning that is gone as a whole', () => {
    const names = [...keys('user:eu:', 20), ...keys('user:us:', 20), ...keys('order:', 20)];
    const gone = (prefix: string) => names.map((name) => !name.toString().startsWith(prefix));
    expect(missingPatterns(names, gone('user:')).map(({ match }) => match)).toEqual(['user:*']);
    expect(missingPatterns(names, gone('user:eu:')).map(({ match }) => match)).toEqual(['user:eu:*']);
  });

  test('is still seen when a few were written again', () => {
    const names = keys('user:', 40);
    const exists = names.map((_, index) => index < 3);
    expect(missingPatterns(names, exists)).toEqual([{ match: 'user:*', sampled: 40, missing: 37 }]);
  });

  test('is nothing where few are missing: their beginning would be a name', () => {
    expect(missingPatterns(keys('user:4711:', 7), Array(7).fill(false))).toEqual([]);
  });

  test('is meant as it stands where a glob would read a wildcard', () => {
    const names = keys('a*[b]?:', 10);
    expect(missingPatterns(names, Array(10).fill(false))[0]?.match).toBe('a\\*\\[b\\]\\?:*');
  });

  test('is nothing for names that are no text', () => {
    const names = Array.from({ length: 20 }, (_, index) => Buffer.from([0xff, index, 0x3a, index]));
    expect(missingPatterns(names, Array(20).fill(false))).toEqual([]);
  });
});

function counts(more: Partial<CommandCounts> = {}): CommandCounts {
  return {
    at: '2026-11-24T12:00:00.000Z',
    runId: 'a',
    startedAt: '2026-11-01T00:00:00.000Z',
    calls: {},
    wasReset: false,
    keysByDatabase: {},
    evictedKeys: 0,
    expiredKeys: 0,
    ...more,
  };
}
const calls = (flushall: number) => ({ flushall: { calls: flushall, microseconds: flushall } });

describe('counters', () => {
  test('say what was called between two readings', () => {
    const now = counts({ at: '2026-11-24T13:00:00.000Z', calls: calls(3) });
    expect(callsSince(now, counts({ calls: calls(2) }))).toEqual({
      calls: { flushall: 1 },
      since: '2026-11-24T12:00:00.000Z',
      began: 'earlier-reading',
      restarted: false,
    });
    expect(callsSince(now, counts({ calls: calls(3) })).calls).toEqual({});
  });

  test('that fell were cleared, also where the server does not say so', () => {
    expect(callsSince(counts({ calls: calls(1) }), counts({ calls: calls(5) }))).toMatchObject({
      calls: { flushall: 1 },
      began: 'reset',
    });
  });

  test('of another process say nothing of the one before', () => {
    expect(callsSince(counts({ runId: 'b', calls: calls(1) }), counts({ calls: calls(5) }))).toMatchObject({
      calls: { flushall: 1 },
      since: '2026-11-01T00:00:00.000Z',
      began: 'start',
      restarted: true,
    });
  });

  test('that were cleared before the earlier reading still count from it', () => {
    const now = counts({ wasReset: true, calls: calls(2) });
    expect(callsSince(now, counts({ wasReset: true, calls: calls(1) }))).toMatchObject({
      calls: { flushall: 1 },
      began: 'earlier-reading',
    });
    expect(callsSince(now).since).toBeUndefined();
  });
});

describe('the kind of a loss', () => {
  const database = (db: number, missing: number, keysLive = 1_000) => ({
    db,
    keysInBackup: 1_000,
    keysLive,
    sampled: 100,
    missing,
    patterns: [],
  });

  test('is a flush of several databases where others stand', () => {
    const loss = judgeLoss([database(0, 0), database(1, 99), database(2, 100, 0)], undefined);
    expect(loss).toMatchObject({
      kind: 'flushdb',
      databases: [1, 2],
      selection: { db: 1 },
      furtherSelections: [{ db: 2 }],
    });
  });

  test('that Redis counted no flush for may be deletes one by one, and that is said', () => {
    const since = {
      calls: { unlink: 5_000 },
      began: 'earlier-reading' as const,
      since: '2026-11-24T12:00:00.000Z',
      restarted: false,
    };
    expect(judgeLoss([database(0, 100, 0)], since).sentences.join(' ')).toContain('no flush but deletes');
  });

  test('of a database too small to sample is known by its counts', () => {
    const tiny = { db: 3, keysInBackup: 1, keysLive: 0, sampled: 0, missing: 0, patterns: [] };
    expect(judgeLoss([database(0, 0), tiny], undefined)).toMatchObject({ kind: 'flushdb', databases: [3] });
  });

  test('of a backup without keys is none', () => {
    expect(judgeLoss([], undefined)).toMatchObject({ kind: 'not-a-loss' });
  });
});
