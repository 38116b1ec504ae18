import { longestGapSeconds, parseCron } from '../config/cron.ts';
import { RewindError } from '../errors/rewind-error.ts';

/** When backups are taken: one of the two, and how late or scattered a start may be. */
export type Schedule = ({ readonly everySeconds: number } | { readonly cron: string }) & {
  /** Starts are spread over this time, so that many instances do not all save in the same second. */
  readonly jitterSeconds: number;
  /** A start that was missed, because Temporal was down, is made up for within this time: one interval. */
  readonly catchupSeconds: number;
};

/** The same in the words of any scheduler. Times are milliseconds. */
export interface ScheduleSpec {
  readonly intervals?: readonly { readonly everyMs: number; readonly offsetMs: number }[];
  readonly cronExpressions?: readonly string[];
  readonly jitterMs: number;
  readonly catchupMs: number;
  readonly timezone: 'UTC';
}

/** Nobody wants to wait longer than this for a backup that is due. */
const MOST_JITTER_SECONDS = 120;
const LEAST_EVERY_SECONDS = 60;

/**
 * @throws CONFIG_INVALID for less than a minute between backups, or no cron expression: the loader refuses both before
 */
export function scheduleOf(when: { everySeconds: number } | { cron: string }): Schedule {
  const interval = intervalSeconds(when);
  const jitterSeconds = Math.min(Math.floor(interval / 20), MOST_JITTER_SECONDS);
  return { ...when, jitterSeconds, catchupSeconds: interval };
}

/** The time between two backups; of an irregular cron the longest. */
export function intervalSeconds(when: { everySeconds: number } | { cron: string }): number {
  if ('everySeconds' in when) {
    if (when.everySeconds >= LEAST_EVERY_SECONDS) return when.everySeconds;
    throw new RewindError(
      'CONFIG_INVALID',
      `a backup every ${when.everySeconds} s: at least ${LEAST_EVERY_SECONDS} s lie between two.`,
    );
  }
  const cron = parseCron(when.cron);
  if (typeof cron === 'string') throw new RewindError('CONFIG_INVALID', `the cron expression ${cron}.`);
  return longestGapSeconds(cron);
}

/** A run's share of the interval that is no reason for an alarm, and its bounds in seconds. */
const RUN_SHARE = 1 / 10;
const LEAST_RUN_SECONDS = 5 * 60;
const MOST_RUN_SECONDS = 60 * 60;

/**
 * How old the last proven backup may become while everything goes as planned, and of what that consists, in seconds: the
 * one before counts until the next one is saved, stored and loaded. One interval alone would be missed in every cycle.
 */
export function oldestBackup(schedule: Schedule) {
  const interval = intervalSeconds(schedule);
  const runSeconds = Math.min(Math.max(Math.ceil(interval * RUN_SHARE), LEAST_RUN_SECONDS), MOST_RUN_SECONDS);
  return { runSeconds, totalSeconds: interval + schedule.jitterSeconds + runSeconds };
}

/** Intervals count from midnight UTC of 1 January 1970: `6h` is 00:00, 06:00, 12:00, 18:00. */
export function scheduleSpec(schedule: Schedule): ScheduleSpec {
  return {
    ...('cron' in schedule
      ? { cronExpressions: [schedule.cron] }
      : { intervals: [{ everyMs: schedule.everySeconds * 1_000, offsetMs: 0 }] }),
    jitterMs: schedule.jitterSeconds * 1_000,
    catchupMs: schedule.catchupSeconds * 1_000,
    timezone: 'UTC',
  };
}
