/** Minutes and hours of the day, and the days, at which a cron expression fires (crontab(5), five fields, UTC). */
export interface Cron {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly daysOfMonth: readonly number[];
  readonly months: readonly number[];
  /** 0 is Sunday. */
  readonly daysOfWeek: readonly number[];
  /** crontab(5): when both day fields are restricted, a day matches if either does. */
  readonly eitherDay: boolean;
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const DAY_MS = 86_400_000;
/** Four years and a day: every 29 February stands in it. */
const DAYS_LOOKED_AT = 1_462;

/** Reads five fields; the answer is a sentence where they are no cron expression. */
export function parseCron(text: string): Cron | string {
  const fields = text.trim().split(/\s+/);
  if (fields.length !== 5) return `has ${fields.length} fields where cron has 5 (minute hour day month weekday)`;
  const [minute, hour, day, month, weekday] = fields as [string, string, string, string, string];
  const minutes = range(minute, 'minute', 0, 59);
  const hours = range(hour, 'hour', 0, 23);
  const daysOfMonth = range(day, 'day', 1, 31);
  const months = range(month, 'month', 1, 12, MONTHS);
  const weekdays = range(weekday, 'weekday', 0, 7, DAYS);
  for (const field of [minutes, hours, daysOfMonth, months, weekdays]) if (typeof field === 'string') return field;
  const cron = {
    minutes: minutes as number[],
    hours: hours as number[],
    daysOfMonth: daysOfMonth as number[],
    months: months as number[],
    daysOfWeek: [...new Set((weekdays as number[]).map((number) => number % 7))].sort((a, b) => a - b),
    eitherDay: !day.startsWith('*') && !weekday.startsWith('*'),
  };
  return firingDays(cron).length === 0 ? 'names a day that never comes' : cron;
}

/** The longest time between two firings, in seconds: what a schedule may be late without leaving one out. */
export function longestGapSeconds(cron: Cron): number {
  const times = cron.hours.flatMap((hour) => cron.minutes.map((minute) => hour * 3_600 + minute * 60));
  const inDay = times.slice(1).map((time, index) => time - times[index]!);
  const days = firingDays(cron);
  const daysApart =
    days.length < 2 ? DAYS_LOOKED_AT : Math.max(...days.slice(1).map((day, index) => day - days[index]!));
  const overnight = daysApart * 86_400 - times.at(-1)! + times[0]!;
  return Math.max(overnight, ...inDay);
}

/** True on a day (UTC) that the expression names. */
export function firesOn(cron: Cron, date: Date): boolean {
  if (!cron.months.includes(date.getUTCMonth() + 1)) return false;
  const byDay = cron.daysOfMonth.includes(date.getUTCDate());
  const byWeekday = cron.daysOfWeek.includes(date.getUTCDay());
  return cron.eitherDay ? byDay || byWeekday : byDay && byWeekday;
}

function firingDays(cron: Cron): number[] {
  const start = Date.UTC(2024, 0, 1);
  const found: number[] = [];
  for (let index = 0; index < DAYS_LOOKED_AT; index += 1) {
    if (firesOn(cron, new Date(start + index * DAY_MS))) found.push(index);
  }
  return found;
}

/** One field: lists, ranges, steps and names. */
function range(
  field: string,
  name: string,
  low: number,
  high: number,
  names: readonly string[] = [],
): number[] | string {
  const found = new Set<number>();
  const wrong = `has no ${name} "${field}" (${low}-${high}, *, lists, ranges and steps such as */${name === 'minute' ? 15 : 2})`;
  const number = (text: string): number => {
    const named = names.indexOf(text.toLowerCase());
    if (named >= 0) return named + (low === 1 ? 1 : 0);
    return /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  };
  for (const part of field.split(',')) {
    const [, from, to, step] = /^(\*|\w+)(?:-(\w+))?(?:\/(\d{1,2}))?$/.exec(part) ?? [];
    if (from === undefined || (from === '*' && to !== undefined)) return wrong;
    const first = from === '*' ? low : number(from);
    const last = from === '*' || (step && to === undefined) ? high : number(to ?? from);
    const every = Number(step ?? 1);
    if (!(first >= low && last <= high && first <= last && every > 0)) return wrong;
    for (let value = first; value <= last; value += every) found.add(value);
  }
  return [...found].sort((a, b) => a - b);
}
