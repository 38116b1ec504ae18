import type { InstanceContext } from '../backup/instance-context.ts';
import { type ArchivePoint, findPoint, findRestorePoint, type RestorePoint } from '../restore/restore-point.ts';
import { runStep } from './step.ts';

export interface WantedPoint {
  readonly instance: string;
  readonly policyDigest: string;
  /** `latest`, `before-flush` or a backup's id. */
  readonly to: string;
  /** ISO 8601: only what was begun before. */
  readonly before?: string;
  /** True where whoever asks can take a moment of the archive, too. */
  readonly moments?: boolean;
  /** ISO 8601: a flush that the archive saw earlier is another one. */
  readonly lossNotBefore?: string;
  /** Of the archive. */
  readonly timeline?: number;
}

/** Choosing a backup or a moment of the archive, from the repository alone. */
export function restorePointActivities(contextOf: (subject: WantedPoint) => Promise<InstanceContext>) {
  return {
    findBackup: (wanted: WantedPoint): Promise<RestorePoint | ArchivePoint> =>
      runStep(async ({ signal }) => {
        const { repository } = await contextOf(wanted);
        const { instance, to, before, timeline, lossNotBefore } = wanted;
        if (!wanted.moments) return findRestorePoint(repository, instance, to, before);
        return findPoint(repository, instance, to, { before, timeline, lossNotBefore, signal });
      }),
  };
}

export type FindPointActivities = ReturnType<typeof restorePointActivities>;
