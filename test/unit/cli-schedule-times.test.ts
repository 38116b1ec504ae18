import { expect, test } from 'vitest';
import { scheduleOf } from '../../policy/schedule-spec.ts';
import { nextTimes } from '../../schedules/next-times.ts';

const iso = (dates: readonly Date[]) => dates.map((date) => date.toISOString().slice(0, 16));
const from = new Date('2026-11-23T21:30:00Z');

test('an interval counts from midnight UTC, and a time that is now is past', () => {
  expect(iso(nextTimes(scheduleOf({ everySeconds: 6 * 3_600 }), from, 3))).toEqual([
    '2026-11-24T00:00',
    '2026-11-24T06:00',
    '2026-11-24T12:00',
  ]);
  const midnight = new Date('2026-11-24T00:00:00Z');
  expect(iso(nextTimes(scheduleOf({ everySeconds: 6 * 3_600 }), midnight, 1))).toEqual(['2026-11-24T06:00']);
});

test.each([
  ['30 */6 * * *', ['2026-11-24T00:30', '2026-11-24T06:30', '2026-11-24T12:30']],
  ['45,15 21 * * *', ['2026-11-23T21:45', '2026-11-24T21:15', '2026-11-24T21:45']],
  ['0 3 * * 1', ['2026-11-30T03:00', '2026-12-07T03:00', '2026-12-14T03:00']],
  // Either day counts where both are given: the first of a month, or a Sunday.
  ['0 3 1 * 0', ['2026-11-29T03:00', '2026-12-01T03:00', '2026-12-06T03:00']],
  ['0 0 29 2 *', ['2028-02-29T00:00']],
])('cron %s fires next at %j', (cron, expected) => {
  expect(iso(nextTimes(scheduleOf({ cron }), from, expected.length))).toEqual(expected);
});
