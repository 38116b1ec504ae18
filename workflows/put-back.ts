import { isCancellation } from '@temporalio/workflow';
import type { Comparison } from '../restore/compare-restored.ts';
import type { MigratedKeys, Migration } from '../restore/migrate-keys.ts';
import type { RestorePlan } from '../restore/plan-restore.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import type { RestoreRequest } from '../restore/restore-request.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import type { StagedFacts } from '../restore/staged-facts.ts';
import type { TargetFacts } from '../restore/target-facts.ts';
import { sentenceOf } from './failure-code.ts';
import type { Gates } from './gate.ts';
import { withPatience } from './park.ts';
import type { RestoreSteps } from './restore-steps.ts';
import { runFailure } from './run-failure.ts';
import type { RunStory } from './run-story.ts';

/** A restore that was planned, and approved where that was needed. */
export interface PlannedRestore {
  readonly steps: RestoreSteps;
  readonly subject: RestoreSubject;
  readonly request: RestoreRequest;
  readonly point: RestorePoint;
  readonly staged: StagedFacts;
  readonly plan: RestorePlan;
  /** As the target was when it was planned. */
  readonly target: TargetFacts;
  /**
   * True where much of what is live is what is put already, as in a replay: after a crash nobody can tell whether such a key
   * was there or was put, so that the counts prove nothing.
   */
  readonly liveMayBeTheSame?: boolean;
}

export interface PutBack extends MigratedKeys {
  readonly migration: Migration;
  readonly subject: RestoreSubject;
  /** Absent where a person left the comparison out. */
  readonly compared?: Comparison;
}

/**
 * Puts the data where it is wanted and compares. What cannot go on waits for a person; nothing fails by itself in the
 * middle. Where the comparison finds a difference, trying again puts the keys back once more.
 */
export async function putBack(
  { gates, story }: { gates: Gates; story: RunStory },
  { steps, subject, request, point, staged, plan, target, liveMayBeTheSame }: PlannedRestore,
): Promise<PutBack> {
  const by = plan.way === 'commands' ? 'commands' : 'slices';
  const migration: Migration = { request, point, by, plannedAtMs: target.timeMs };
  const wholly = plan.way === 'as-primary';
  const put = (about: RestoreSubject) =>
    withPatience<MigratedKeys, object>(
      wholly ? 'streamAsPrimary' : 'migrateKeys',
      () => (wholly ? steps.streamAsPrimary(about, point, staged) : steps.migrateKeys(about, migration)),
      { gates, story, alreadyDone: () => 'Keys that were put back stay; trying again goes on where it stopped.' },
    );
  let about = subject;
  let migrated = await put(about);
  let looks = 0;
  const compared = await withPatience(
    'compareRestored',
    async () => {
      looks += 1;
      if (looks > 1) {
        // What an earlier attempt wrote down is that attempt's: names in the repository are never overwritten.
        about = { ...subject, attempt: looks };
        migrated = await put(about);
      }
      const compare = request.compare === 'full-before-unfence' ? steps.compareAll : steps.compareRestored;
      const { conflicts, figures } = migrated;
      const othersMayWrite = subject.fenceId === undefined;
      // What a later part, or a second time, puts is not all that has changed since it was planned.
      const counts =
        wholly || about.attempt !== undefined || liveMayBeTheSame
          ? undefined
          : { before: target.keysByDatabase, put: figures, expiredKeysBefore: target.expiredKeys };
      const comparison = await compare(about, { migration, conflicts, othersMayWrite, counts });
      if (comparison.contradiction) throw runFailure('RESTORE_NOT_EQUAL', comparison.contradiction);
      return comparison;
    },
    {
      gates,
      story,
      safeToSkip: true,
      alreadyDone: () => `${migrated.figures.restored} keys were put back, ${migrated.figures.replaced} replaced.`,
    },
  );
  return { ...migrated, migration, subject: about, compared };
}

/**
 * Every key by content, at a limited rate, when others may write again: what differs then was written since, or is wrong,
 * and nobody can tell which. It is told in the report; it never fails a restore that is done.
 */
export async function compareEverything(
  { story }: { story: RunStory },
  { steps, request }: PlannedRestore,
  { subject, migration, conflicts, compared }: PutBack,
): Promise<Comparison | undefined> {
  if (request.compare === 'full-before-unfence') return compared;
  story.phase('comparing');
  try {
    return await steps.compareAll(subject, { migration, conflicts, othersMayWrite: true });
  } catch (error) {
    if (isCancellation(error)) throw error;
    story.tell(`Not every key could be compared: ${sentenceOf(error)}`);
    return undefined;
  }
}
