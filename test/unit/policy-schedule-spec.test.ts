import { describe, expect, test } from 'vitest';
import { longestGapSeconds, parseCron } from '../../config/cron.ts';
import { oldestBackup, scheduleOf, scheduleSpec } from '../../policy/schedule-spec.ts';

const HOUR = 3_600;

test('an interval counts from midnight UTC, is made up for within itself, and starts scattered a little', () => {
  expect(scheduleSpec(scheduleOf({ everySeconds: 6 * HOUR }))).toEqual({
    intervals: [{ everyMs: 21_600_000, offsetMs: 0 }],
    jitterMs: 120_000,
    catchupMs: 21_600_000,
    timezone: 'UTC',
  });
});

test('a cron expression is passed on as it was written', () => {
  expect(scheduleSpec(scheduleOf({ cron: '30 */6 * * *' }))).toEqual({
    cronExpressions: ['30 */6 * * *'],
    jitterMs: 120_000,
    catchupMs: 21_600_000,
    timezone: 'UTC',
  });
});

test('a short interval is scattered less than it is long', () => {
  expect(scheduleOf({ everySeconds: 60 })).toEqual({ everySeconds: 60, jitterSeconds: 3, catchupSeconds: 60 });
});

test('less than a minute is refused, whoever asks', () => {
  expect(() => scheduleOf({ everySeconds: 59 })).toThrow('a backup every 59 s: at least 60 s lie between two.');
  expect(() => scheduleOf({ cron: '* * *' })).toThrow(
    'the cron expression has 3 fields where cron has 5 (minute hour day month weekday).',
  );
});

test.each([
  [60, 3, 300],
  [HOUR, 120, 360],
  [6 * HOUR, 120, 2_160],
  [24 * HOUR, 120, 3_600],
])(
  'every %d s: the last proven backup may be as old as interval, jitter and a run together',
  (everySeconds, jitter, run) => {
    expect(oldestBackup(scheduleOf({ everySeconds }))).toEqual({
      runSeconds: run,
      totalSeconds: everySeconds + jitter + run,
    });
  },
);

describe('the longest time between two firings', () => {
  test.each([
    ['* * * * *', 60],
    ['*/15 * * * *', 15 * 60],
    ['0 */6 * * *', 6 * HOUR],
    ['0 9,17 * * *', 16 * HOUR],
    ['0 */5 * * *', 5 * HOUR],
    ['0 3 * * *', 24 * HOUR],
    ['0 3 * * 1-5', 72 * HOUR],
    ['0 3 * * mon-fri', 72 * HOUR],
    ['0 3 * * 0', 7 * 24 * HOUR],
    ['0 3 * * 7', 7 * 24 * HOUR],
    ['0 0 1 * *', 31 * 24 * HOUR],
    ['0 0 1 jan *', 366 * 24 * HOUR],
    ['0 0 29 2 *', 1_462 * 24 * HOUR],
    ['0 0 1,15 * sun', 7 * 24 * HOUR],
    ['10-20/5 2 * * *', 24 * HOUR - 600],
    ['5/20 * * * *', 20 * 60],
  ])('of "%s"', (expression, seconds) => {
    const cron = parseCron(expression);
    if (typeof cron === 'string') throw new Error(cron);
    expect(longestGapSeconds(cron)).toBe(seconds);
  });
});

describe('no cron expression', () => {
  test.each([
    ['60 * * * *', 'has no minute "60"'],
    ['* 24 * * *', 'has no hour "24"'],
    ['* * 0 * *', 'has no day "0"'],
    ['* * * 13 *', 'has no month "13"'],
    ['* * * * 8', 'has no weekday "8"'],
    ['5-1 * * * *', 'has no minute "5-1"'],
    ['*/0 * * * *', 'has no minute "*/0"'],
    ['1,,2 * * * *', 'has no minute "1,,2"'],
    ['*-5 * * * *', 'has no minute "*-5"'],
    ['-1 * * * *', 'has no minute "-1"'],
    ['* * * foo *', 'has no month "foo"'],
    ['* * * * * *', 'has 6 fields where cron has 5'],
    ['@hourly', 'has 1 fields where cron has 5'],
    ['0 0 30 feb *', 'names a day that never comes'],
  ])('"%s"', (expression, why) => {
    expect(parseCron(expression)).toEqual(expect.stringContaining(why));
  });
});
