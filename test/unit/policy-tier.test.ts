import { describe, expect, test } from 'vitest';
import { chooseTier, type Tier } from '../../policy/tier.ts';

const at = (time: string) => new Date(`${time}Z`);
const latest = (times: Partial<Record<Tier, string>>) =>
  Object.fromEntries(Object.entries(times).map(([tier, time]) => [tier, at(time)]));

describe('the tier of a backup', () => {
  test.each<[string, string, Partial<Record<Tier, string>>, Tier]>([
    ['the first of all is monthly', '2026-03-18T12:00', {}, 'monthly'],
    [
      'the first of a month is monthly',
      '2026-04-01T00:00',
      { monthly: '2026-03-31T23:59', hourly: '2026-03-31T23:59' },
      'monthly',
    ],
    [
      'the last moment of a month belongs to it',
      '2026-03-31T23:59:59.999',
      { monthly: '2026-03-01T00:00', weekly: '2026-03-30T00:00', daily: '2026-03-31T00:00' },
      'hourly',
    ],
    [
      'the first of a week, from Monday, is weekly',
      '2026-03-16T00:00',
      { monthly: '2026-03-01T00:00', weekly: '2026-03-15T23:00' },
      'weekly',
    ],
    [
      'Sunday belongs to the week before',
      '2026-03-15T23:59',
      { monthly: '2026-03-01T00:00', weekly: '2026-03-09T00:00' },
      'daily',
    ],
    [
      'the first of a day is daily',
      '2026-03-18T00:00',
      {
        monthly: '2026-03-01T00:00',
        weekly: '2026-03-16T00:00',
        daily: '2026-03-17T00:00',
        hourly: '2026-03-17T23:00',
      },
      'daily',
    ],
    [
      'any other is hourly',
      '2026-03-18T06:00',
      { monthly: '2026-03-01T00:00', weekly: '2026-03-16T00:00', daily: '2026-03-18T00:00' },
      'hourly',
    ],
    [
      'the month’s counts for its week and day',
      '2026-04-01T06:00',
      { monthly: '2026-04-01T00:00', weekly: '2026-03-30T00:00', daily: '2026-03-31T00:00' },
      'hourly',
    ],
    [
      'the week’s counts for its day',
      '2026-03-16T06:00',
      { monthly: '2026-03-01T00:00', weekly: '2026-03-16T00:00', daily: '2026-03-15T00:00' },
      'hourly',
    ],
    [
      'a month’s first in mid-week leaves the next week its own',
      '2026-04-06T00:00',
      { monthly: '2026-04-01T00:00', weekly: '2026-03-30T00:00', daily: '2026-04-05T00:00' },
      'weekly',
    ],
    ['hourly ones count for nothing longer', '2026-03-18T06:00', { hourly: '2026-03-18T05:00' }, 'monthly'],
    [
      'a month without any backup is caught up on the next day that has one',
      '2026-03-18T06:00',
      { monthly: '2026-01-01T00:00', weekly: '2026-01-26T00:00' },
      'monthly',
    ],
    [
      'the week over New Year begins in December',
      '2027-01-02T00:00',
      { monthly: '2027-01-01T00:00', weekly: '2026-12-28T00:00' },
      'daily',
    ],
    [
      'a leap day is a day',
      '2028-02-29T00:00',
      { monthly: '2028-02-01T00:00', weekly: '2028-02-28T00:00', daily: '2028-02-28T00:00' },
      'daily',
    ],
  ])('%s', (_, now, times, tier) => {
    expect(chooseTier(at(now), latest(times))).toBe(tier);
  });

  test('a clock that was set back makes no second backup of a month', () => {
    expect(chooseTier(at('2026-03-31T23:00'), latest({ monthly: '2026-04-01T00:00' }))).toBe('hourly');
  });

  test('a year of hourly backups has 12 monthly ones, one a week and one a day besides', () => {
    const newest: Partial<Record<Tier, Date>> = {};
    const counts = { monthly: 0, weekly: 0, daily: 0, hourly: 0 };
    for (let hour = 0; hour < 365 * 24; hour += 1) {
      const now = new Date(Date.UTC(2026, 0, 1) + hour * 3_600_000);
      const tier = chooseTier(now, newest);
      newest[tier] = now;
      counts[tier] += 1;
    }
    // 2026 has 52 Mondays; June's is the only one that is a first of a month. 1 January, a Thursday, is monthly.
    const mondays = 52;
    const monthly = 12;
    expect(counts).toEqual({ monthly, weekly: mondays - 1, daily: 365 - monthly - (mondays - 1), hourly: 365 * 23 });
  });
});
