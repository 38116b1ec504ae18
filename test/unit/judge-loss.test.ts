import { describe, expect, test } from 'vitest';
import {
  type Circumstances,
  judgeLoss,
  lossLimits,
  outOfService,
  type SeenSample,
  unexplainedBetween,
} from '../../archive/loss/judge-loss.ts';
import { type ServerSample, sampleOf } from '../../archive/loss/server-sample.ts';
import { askedOfRunbook, nextAfterLoss, sentenceOfLoss } from '../../archive/loss/told-loss.ts';

const usual: ServerSample = {
  ...{ atMs: 0, runId: 'a', primary: true, keys: { 0: 100_000 } },
  ...{ went: 7, taken: 50, removals: 3, flushall: 1, flushdb: 2, swapdb: 4 },
};
const limits = { ...lossLimits, shrunkTo: 0.5 };
const nothing: Circumstances = { swappedOut: new Map(), flushTold: false, massInFile: false };

/** Samples a second apart, each by what changed since the one before. */
function judge(changes: readonly Partial<ServerSample>[], about: Partial<Circumstances> = {}) {
  const seen: SeenSample[] = [{ ...usual, unexplained: 0 }];
  for (const change of changes) {
    const before = seen.at(-1)!;
    const now = { ...before, atMs: before.atMs + 1_000, ...change };
    seen.push({ ...now, unexplained: before.unexplained + unexplainedBetween(before, now) });
  }
  return judgeLoss(seen, { ...nothing, ...about }, limits);
}

describe('a flush', () => {
  test('is a loss of all that was there a second ago, whatever is there now', () => {
    const found = judge([{ flushall: 2, keys: { 0: 100_000 } }]);
    expect(found).toMatchObject({ kind: 'flush', command: 'FLUSHALL', keysLost: 100_000, databases: [0], goodMs: 0 });
  });

  test('of nothing is none', () => {
    expect(judge([{ keys: {}, went: 100_007 }, { flushall: 2 }])).toBeUndefined();
    expect(judge([{ flushdb: 3 }])).toBeUndefined();
  });

  test('of one database is a loss of that one', () => {
    const keys = { 0: 100_000, 5: 12 };
    expect(judge([{ keys }, { flushdb: 3, keys: { 0: 100_000 } }])).toMatchObject({ databases: [5], keysLost: 12 });
  });

  test('under another name shows by what the server told, and by its effect alone', () => {
    expect(judge([{ keys: { 0: 10 } }], { flushTold: true })).toMatchObject({ kind: 'flush', keysLost: 99_990 });
    expect(judge([{ keys: { 0: 95_000 } }], { flushTold: true })).toBeUndefined();
  });

  test('counts from a reset of the counters on', () => {
    expect(
      judge([
        { flushall: 0, flushdb: 0 },
        { flushall: 1, keys: {} },
      ]),
    ).toMatchObject({ command: 'FLUSHALL' });
  });
});

describe('keys that went', () => {
  test('within seconds by DEL are a mass removal, also in several steps', () => {
    const steps = [92_000, 85_000, 80_000].map((left, i) => ({ keys: { 0: left }, removals: 10 * i + 4 }));
    expect(judge(steps)).toMatchObject({ kind: 'mass-delete', keysLost: 20_000, goodMs: 0 });
  });

  test('are none below the limits, and none that came back', () => {
    expect(judge([{ keys: { 0: 91_000 }, removals: 4 }])).toBeUndefined();
    expect(judge([{ keys: { 0: 70_000 }, removals: 4 }, { keys: { 0: 99_000 } }])).toBeUndefined();
  });

  test.each([
    ['expired or were evicted', { went: 90_007 }],
    ['were popped or renamed over', { taken: 90_050 }],
  ])('are none where they %s', (_, change) => {
    expect(judge([{ keys: { 0: 10_000 }, ...change }])).toBeUndefined();
  });

  test('over a longer time are a loss where less than the share is left, and nothing explains it', () => {
    const slowly = Array.from({ length: 60 }, (_, i) => ({ atMs: (i + 1) * 30_000, keys: { 0: 100_000 - i * 1_000 } }));
    expect(judge(slowly)).toMatchObject({ kind: 'shrank', databases: [0] });
    expect(judge(slowly.slice(0, 40))).toBeUndefined();
  });

  test('while nobody looked are a loss only beyond the share, or where the file has a mass removal', () => {
    const later = [{ atMs: 7_200_000, keys: { 0: 70_000 }, removals: 30_003 }];
    expect(judge(later)).toBeUndefined();
    expect(judge(later, { massInFile: true })).toMatchObject({ kind: 'mass-delete', keysLost: 30_000 });
    expect(judge([{ atMs: 7_200_000, keys: { 0: 40_000 } }])).toMatchObject({ kind: 'shrank' });
  });
});

describe('another process', () => {
  const fresh = { runId: 'b', went: 0, taken: 0, removals: 0, flushall: 0, flushdb: 0, swapdb: 0 };
  test.each([
    ['empty', { keys: {} }, { kind: 'came-back-empty', keysLost: 100_000 }],
    ['with less', { keys: { 0: 80_000 } }, { kind: 'came-back-with-less', keysLost: 20_000 }],
    ['with as much', { keys: { 0: 99_000 } }, undefined],
    ['with less, of which most expired at its load', { keys: { 0: 80_000 }, went: 15_000 }, undefined],
    ['flushed since', { keys: {}, flushall: 1 }, { kind: 'flush', command: 'FLUSHALL' }],
    ['as a replica', { keys: {}, primary: false }, undefined],
  ])('that came back %s', (_, change, expected) => {
    const found = judge([{ ...fresh, ...change }]);
    if (expected) expect(found).toMatchObject(expected);
    else expect(found).toBeUndefined();
  });
});

describe('SWAPDB', () => {
  const two = { keys: { 0: 100_000, 1: 98_000 } };
  test('with an empty database is a loss of the lower one', () => {
    expect(judge([{ swapdb: 5, keys: { 1: 100_000 } }])).toMatchObject({ kind: 'swap', databases: [0] });
    expect(
      judge([
        { keys: { 1: 100_000 }, went: 100_007 },
        { swapdb: 5, keys: { 0: 100_000 } },
      ]),
    ).toBeUndefined();
  });

  test('that puts as much in the place of what it takes is a deployment, and so is the flush of that', () => {
    expect(judge([two, { swapdb: 5, keys: { 0: 98_000, 1: 100_000 } }])).toBeUndefined();
    const [before, now] = [
      { ...usual, ...two },
      { ...usual, keys: { 0: 98_000 }, swapdb: 5, flushdb: 3 },
    ];
    const outside = outOfService(before, now, new Set(), 0.5);
    expect([...outside]).toEqual([['1', 100_000]]);
    expect(unexplainedBetween(before, now, outside)).toBe(0);
    const seen = [before, now].map((sample, i) => ({ ...sample, atMs: i * 1_000, unexplained: 0 }));
    expect(judgeLoss(seen, { ...nothing, swappedOut: outside }, limits)).toBeUndefined();
    expect(judgeLoss(seen, nothing, limits)).toMatchObject({ kind: 'flush', databases: [1] });
  });
});

test('a sample is read from INFO, and none while the server loads', () => {
  const text = [
    ...['run_id:abc', 'role:master', 'loading:0', 'async_loading:0', 'expired_keys:5', 'evicted_keys:2'],
    ...['rdb_last_load_keys_expired:1', 'cmdstat_flushall:calls=3,usec=1', 'cmdstat_lpop:calls=4,usec=1'],
    ...['cmdstat_unlink:calls=6,usec=2', 'db0:keys=10,expires=0', 'db3:keys=7,expires=1,avg_ttl=5'],
  ];
  expect(sampleOf(text.join('\r\n'), 9)).toEqual({
    ...{ atMs: 9, runId: 'abc', primary: true, keys: { 0: 10, 3: 7 }, went: 8, taken: 4, removals: 6 },
    ...{ flushall: 3, flushdb: 0, swapdb: 0 },
  });
  expect(sampleOf(text.join('\r\n').replace('loading:0', 'loading:1'), 9)).toBeUndefined();
});

test('a command is undone from right before it, any other loss from the moment that is pinned', () => {
  const good = { timeline: 1, position: 214 };
  const goodMs = Date.parse('2026-11-23T20:50:00Z');
  // Which command it was may show later: an older one is not meant.
  expect(askedOfRunbook({ kind: 'mass-delete', good, goodMs })).toEqual({ lossNotBefore: '2026-11-23T20:50:00.000Z' });
  expect(askedOfRunbook({ kind: 'older', good, goodMs })).toEqual({ to: '214' });
  expect(askedOfRunbook({ kind: 'shrank', goodMs })).toEqual({});
  expect(nextAfterLoss('orders', { kind: 'came-back-empty', good })).toBe(
    'rewind runbook accidental-flush orders --to 214',
  );
  expect(sentenceOfLoss({ kind: 'flush', command: 'FLUSHDB', keysLost: 1, databases: [3, 7] })).toBe(
    'FLUSHDB took 1 key of databases 3, 7.',
  );
});
