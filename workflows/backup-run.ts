import { CancellationScope, isCancellation } from '@temporalio/workflow';
import type { PublishedBackup } from '../backup/publish.ts';
import { SAVE_AGAIN, SAVE_ATTEMPTS } from '../backup/save-again.ts';
import type { BackupSubject } from '../backup/subject.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import { type BackupSteps, backupSteps } from './backup-steps.ts';
import { contradicted, failureCode, sentenceOf } from './failure-code.ts';
import type { RunStory } from './run-story.ts';

/**
 * One backup, from the save to the verdict, by whoever owns the instance: `scheduledBackup`, or a runbook that keeps what
 * is live before it replaces it.
 *
 * @param openIncident the runbook that was begun since; asked before each save, for what is live then may be the incident's
 * @throws BACKUP_CONTRADICTED when a check contradicted it; what a step failed with
 */
export async function backUp(
  policy: InstancePolicy,
  subject: BackupSubject,
  story: RunStory,
  openIncident: () => Promise<string | undefined> = async () => undefined,
): Promise<PublishedBackup> {
  const steps = backupSteps(policy, story);
  let { incident } = subject;
  const beforeSave = async () => {
    incident ??= await openIncident();
  };
  let stored = false;
  let dumpDir: string | undefined;
  try {
    story.phase('saving', { backupId: subject.backupId });
    const preflight = await steps.preflight(subject);
    dumpDir = preflight.dump?.dir;
    const dump =
      preflight.source === 'dump-file'
        ? await fromDumpFile(steps, story, subject, { preflight, beforeSave, rewriteAof: policy.backup.rewriteAof })
        : await byReplication(steps, story, subject, { preflight, beforeSave });

    story.phase('proving');
    // What is contradicted already needs no load to fail.
    const damaged = dump.checks.some(({ result }) => result === 'contradicted');
    const proof = damaged ? { checks: [] } : await steps.loadAndVerify(subject, dump.facts, dump.object);

    const backup = await steps.publish({ subject: { ...subject, incident }, preflight, dump, proof });
    stored = true;
    story.phase('done', { outcome: backup.state });
    if (backup.state === 'failed') throw contradicted(backup);
    return backup;
  } catch (error) {
    if (!stored) story.phase('failed', { outcome: isCancellation(error) ? 'cancelled' : 'failed' });
    story.tell(sentenceOf(error));
    throw error;
  } finally {
    await CancellationScope.nonCancellable(() => steps.prune(subject, { stored, dumpDir }));
  }
}

interface Saving {
  readonly preflight: Awaited<ReturnType<BackupSteps['preflight']>>;
  readonly beforeSave: () => Promise<void>;
}

/** The dump that Redis writes on its own disk, pinned there and stored from there. */
async function fromDumpFile(
  steps: BackupSteps,
  story: RunStory,
  subject: BackupSubject,
  { preflight, beforeSave, rewriteAof }: Saving & { readonly rewriteAof: boolean },
) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await beforeSave();
      const start = await steps.bgsave(subject, attempt);
      const { endedAt, ahead } = await steps.waitForBgsave(subject, start, attempt);
      const pin = await steps.pin(subject, preflight, start, attempt);
      if (rewriteAof) await steps.bgrewriteaof(subject);
      story.phase('storing');
      // Both read the same pinned bytes; what the check contradicts is kept under failed/ all the same.
      const [checked, object] = await bothOrNeither(
        () => steps.checkRdb(subject, pin, start),
        () => steps.upload(subject, pin, ahead),
      );
      const verified = await steps.verifyUpload(subject, object);
      return { ...checked, object, checks: [...checked.checks, verified], save: { ...start, endedAt } };
    } catch (error) {
      if (attempt === SAVE_ATTEMPTS || !SAVE_AGAIN.has(failureCode(error))) throw error;
      story.tell(`Save ${attempt} is void: ${sentenceOf(error)} Another one is started.`);
      await steps.prune(subject, { stored: false, dumpDir: preflight.dump?.dir });
    }
  }
}

/** No agent beside Redis: the dump comes over a replication link and goes straight to the repository. */
async function byReplication(
  steps: BackupSteps,
  story: RunStory,
  subject: BackupSubject,
  { preflight, beforeSave }: Saving,
) {
  await beforeSave();
  story.phase('storing');
  const replicated = await steps.replicate(subject, preflight);
  const verified = await steps.verifyUpload(subject, replicated.object);
  return { ...replicated, checks: [...replicated.checks, verified] };
}

/** Two steps at once. When one fails the other is cancelled and has ended before the failure goes on. */
async function bothOrNeither<A, B>(first: () => Promise<A>, second: () => Promise<B>): Promise<[A, B]> {
  const scope = new CancellationScope();
  return scope.run(async () => {
    const steps = [first(), second()] as const;
    try {
      return await Promise.all(steps);
    } catch (error) {
      scope.cancel();
      await Promise.allSettled(steps);
      throw error;
    }
  });
}
