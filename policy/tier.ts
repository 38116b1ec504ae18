export type Tier = 'hourly' | 'daily' | 'weekly' | 'monthly';

/**
 * The tier of a backup that is taken now: the first one of a calendar month is monthly, of an ISO week (from Monday)
 * weekly, of a day daily, any other hourly. All in UTC. A backup of a longer tier counts for the shorter ones, too.
 *
 * @param latest time of the newest backup of each tier that is in the repository
 */
export function chooseTier(now: Date, latest: Readonly<Partial<Record<Tier, Date>>>): Tier {
  const monthly = latest.monthly;
  const weekly = later(monthly, latest.weekly);
  const daily = later(weekly, latest.daily);
  if (!monthly || monthly < startOfMonth(now)) return 'monthly';
  if (!weekly || weekly < startOfWeek(now)) return 'weekly';
  if (!daily || daily < startOfDay(now)) return 'daily';
  return 'hourly';
}

function later(a: Date | undefined, b: Date | undefined): Date | undefined {
  if (!a || !b) return a ?? b;
  return a > b ? a : b;
}

const startOfDay = (at: Date) => new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()));
const startOfMonth = (at: Date) => new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1));

/** ISO 8601: a week begins on Monday. */
function startOfWeek(at: Date): Date {
  const sinceMonday = (at.getUTCDay() + 6) % 7;
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate() - sinceMonday));
}
