import type { InstanceConfig } from '../config/config.ts';

export type DataClass = InstanceConfig['dataClass'];

/** What a class of data is worth when the configuration says no more. */
export interface DataClassDefaults {
  /** How its data comes back, for `plan`. */
  readonly strategy: string;
  /** Absent: no backups are taken. */
  readonly backupEverySeconds?: number;
  readonly rtoSeconds: number;
  /** `last-backup`: whatever came after it may be lost, as old as the schedule lets it become. Absent: anything may. */
  readonly rpo?: number | 'last-backup';
}

const MINUTE = 60;
const HOUR = 3_600;

export const dataClasses: Readonly<Record<DataClass, DataClassDefaults>> = {
  cache: { strategy: 'filled again from its source on a miss; no backups', rtoSeconds: MINUTE },
  'session-store': {
    strategy: 'restored from the last backup; some users log in again',
    backupEverySeconds: 6 * HOUR,
    rtoSeconds: 10 * MINUTE,
    rpo: 'last-backup',
  },
  'job-queue': {
    strategy: 'restored from the last backup; jobs in flight are processed again',
    backupEverySeconds: HOUR,
    rtoSeconds: 10 * MINUTE,
    rpo: 'last-backup',
  },
  'rate-limit': {
    strategy: 'restored from the last backup; a burst may pass after the restart',
    backupEverySeconds: 6 * HOUR,
    rtoSeconds: 10 * MINUTE,
    rpo: 'last-backup',
  },
  'audit-log': {
    strategy: 'restored from the last backup and what was written after it',
    backupEverySeconds: HOUR,
    rtoSeconds: 30 * MINUTE,
    rpo: MINUTE,
  },
};
