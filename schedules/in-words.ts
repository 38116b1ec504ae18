import { formatDuration } from '../config/quantities.ts';
import type { Schedule } from '../policy/schedule-spec.ts';

/** `every 6h`, `by cron 30 2 * * *, UTC`. */
export function scheduleInWords(schedule: Schedule): string {
  if ('cron' in schedule) return `by cron ${schedule.cron}, UTC`;
  return `every ${formatDuration(schedule.everySeconds)}`;
}
