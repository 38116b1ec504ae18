import { firesOn, parseCron } from '../config/cron.ts';
import type { Schedule } from '../policy/schedule-spec.ts';

const DAY_MS = 86_400_000;
/** Four years and a day: every 29 February stands in it. */
const DAYS_LOOKED_AT = 1_462;

/** When a schedule fires next, without its jitter: known also while Temporal is down. */
export function nextTimes(schedule: Schedule, after: Date, count: number): Date[] {
  return 'cron' in schedule ? nextByCron(schedule.cron, after, count) : nextByInterval(schedule, after, count);
}

/** Intervals count from 1 January 1970, as Temporal's do. */
function nextByInterval({ everySeconds }: { everySeconds: number }, after: Date, count: number): Date[] {
  const everyMs = everySeconds * 1000;
  const first = (Math.floor(after.getTime() / everyMs) + 1) * everyMs;
  return Array.from({ length: count }, (_, index) => new Date(first + index * everyMs));
}

function nextByCron(expression: string, after: Date, count: number): Date[] {
  const cron = parseCron(expression);
  if (typeof cron === 'string') return [];
  const found: Date[] = [];
  const midnight = Math.floor(after.getTime() / DAY_MS) * DAY_MS;
  for (let day = 0; day < DAYS_LOOKED_AT && found.length < count; day += 1) {
    const start = midnight + day * DAY_MS;
    if (!firesOn(cron, new Date(start))) continue;
    for (const hour of cron.hours) {
      for (const minute of cron.minutes) {
        const at = new Date(start + hour * 3_600_000 + minute * 60_000);
        if (at > after && found.length < count) found.push(at);
      }
    }
  }
  return found;
}
