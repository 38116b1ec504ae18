import type { InstanceContext } from '../backup/instance-context.ts';
import { withRedis } from '../redis/connection.ts';
import { readLiveKey } from '../redis/live-content.ts';
import type { Migration } from '../restore/migrate-keys.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { restoreFolder, stageDump } from '../restore/staged-dump.ts';
import { inspectSample } from '../sandbox/sample.ts';
import { runStep } from './step.ts';

export interface Comparison {
  readonly kind: 'sample' | 'every-key';
  readonly same: number;
  readonly differing: number;
  readonly missing: number;
  readonly tells: readonly string[];
  /** Object in the repository with the names of the keys that differ. */
  readonly file?: string;
}

export function compareActivities(contextOf: (subject: RestoreSubject) => Promise<InstanceContext>) {
  const compare =
    (kind: Comparison['kind'], count: number) =>
    (subject: RestoreSubject, { point }: Migration, _conflicts: string | undefined) =>
      runStep(async (io) => {
        const { target, repository, home } = await contextOf(subject);
        const path = await stageDump(repository, restoreFolder(home, subject.restoreId), point, io);
        const sample = await inspectSample(path, count, subject.restoreId, io.signal);
        let [same, differing, missing] = [0, 0, 0];
        await withRedis(target, async (redis) => {
          for (const key of sample.keys) {
            const live = await readLiveKey(redis, key.db, key.key, {
              streamDetail: key.streamDetail,
              aliveAt: sample.aliveAt,
            });
            if (live.state === 'absent') missing++;
            else if (live.state === 'present' && live.digest === key.digest) same++;
            else differing++;
          }
        });
        return { kind, same, differing, missing, tells: [`${same} keys are equal`] } satisfies Comparison;
      });
  return { compareRestored: compare('sample', 1_000), compareAll: compare('every-key', 2_000) };
}

export type CompareActivities = ReturnType<typeof compareActivities>;
