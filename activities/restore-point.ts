import type { InstanceContext } from '../backup/instance-context.ts';
import { findRestorePoint, type RestorePoint } from '../restore/restore-point.ts';
import { runStep } from './step.ts';

export interface WantedPoint {
  readonly instance: string;
  readonly policyDigest: string;
  /** `latest`, `before-flush` or a backup's id. */
  readonly to: string;
  /** ISO 8601: only what was begun before. */
  readonly before?: string;
}

/** Choosing a backup, from the repository alone. */
export function restorePointActivities(contextOf: (subject: WantedPoint) => Promise<InstanceContext>) {
  return {
    findBackup: (wanted: WantedPoint): Promise<RestorePoint> =>
      runStep(async () => {
        const { repository } = await contextOf(wanted);
        return findRestorePoint(repository, wanted.instance, wanted.to, wanted.before);
      }),
  };
}

export type FindPointActivities = ReturnType<typeof restorePointActivities>;
