import { CancellationScope, isCancellation, proxyActivities, uuid4, workflowInfo } from '@temporalio/workflow';
import type { AnswersActivities } from '../activities/answers.ts';
import { readPolicy } from './backup-steps.ts';
import { evidenceSteps } from './evidence-steps.ts';
import { sentenceOf } from './failure-code.ts';
import { addFigures, figuresOfReport, noFigures } from './figures-of-restore.ts';
import { findWhatWasLost } from './flush-finding.ts';
import { approveFlushRecovery } from './flush-gate.ts';
import { type FlushReplay, findReplay } from './flush-replay.ts';
import { Gates } from './gate.ts';
import { type HeldFence, holdFence } from './held-fence.ts';
import { IncidentLog } from './incident-log.ts';
import { ownForIncident } from './instance-owner.ts';
import { compareEverything, type PlannedRestore, type PutBack, putBack } from './put-back.ts';
import { keepWhatIsLive } from './restore-gate.ts';
import { restoreSteps } from './restore-steps.ts';
import { RunStory } from './run-story.ts';
import type { RunbookResult } from './runbook-result.ts';

export interface RecoverAccidentalFlushInput {
  readonly instance: string;
  /** `before-flush` (default), `latest`, a backup's id; of the archive a time (ISO 8601) or a position. */
  readonly to?: string;
  /** Of `before-flush`: what was lost was all there then, ISO 8601. Default: what Redis itself knows of its last flush. */
  readonly lossNotBefore?: string;
  /** Default true: nobody writes until the data is back. */
  readonly fence?: boolean;
  /** `keep-live` (default), `take-backup` or, with an archive, `replay`: what stands at the gate as the default. */
  readonly onConflict?: string;
  readonly compare?: string;
}

/**
 * Somebody ran FLUSHALL (or FLUSHDB, SWAPDB, a DEL of very much). Writes are fenced first, because each one makes it
 * worse. Then what was lost is found, a person is asked, the keys are put back beside what came since and compared, and
 * everybody may write again, with exactly the rights from before.
 */
export async function recoverAccidentalFlush(input: RecoverAccidentalFlushInput): Promise<RunbookResult> {
  const { instance } = input;
  const story = new RunStory(`Accidental flush of ${instance}`, instance);
  const { readAnswers } = proxyActivities<AnswersActivities>({ startToCloseTimeout: '30s' });
  const gates = new Gates(story, undefined, { readAnswers });
  const startedAt = workflowInfo().startTime.toISOString();
  const plan = await readPolicy({ instance, startedAt, nonce: uuid4() });
  const { policy } = plan;
  gates.under(policy);
  const owner = await ownForIncident(instance);
  const steps = restoreSteps(policy, policy, story);
  const log = new IncidentLog(policy, story, gates, 'accidental-flush');
  let fence: HeldFence | undefined;
  let replay: FlushReplay | undefined;
  const unfence = async () => {
    const given = await fence?.unfence();
    if (given) log.figures = { ...log.figures, fencedSeconds: given.fencedMs / 1_000 };
  };
  const restoreId = uuid4();
  try {
    story.phase('fencing');
    if (input.fence !== false) fence = await holdFence(policy, gates, story);
    const subject = { instance, policyDigest: policy.digest, restoreId, fenceId: fence?.fenceId };

    story.phase('finding');
    const evidence = evidenceSteps(policy, story);
    const found = await findWhatWasLost({ gates, story, steps, evidence, input }, subject);
    log.backup = found.point.id;
    log.loss = {
      from: found.point.time,
      to: found.evidence.when.latest,
      lost: found.moment ? [] : [`What was written between ${found.point.time} and the flush is in no backup.`],
      unknown: [...found.evidence.unknown, ...found.loss.unknown],
    };
    replay = await findReplay({ gates, story, steps }, policy, subject, found, input.onConflict);
    const { choice, parts } = await approveFlushRecovery({ gates, story, steps, replay }, subject, found);
    const { swapped } = found.loss;
    if (choice === 'swap-back' && swapped) {
      await evidence.swapBack(subject, swapped, found.point.keysByDatabase[String(swapped[0])] ?? 0);
    }
    if (parts.some((part) => part.plan.destructive)) await keepWhatIsLive({ gates, story }, plan);

    story.phase('restoring', { backupId: parts[0]?.point.id ?? found.point.id });
    const done: PutBack[] = [];
    for (const part of parts) done.push(await putBack({ gates, story }, part));
    if (choice === 'replay') await replay?.removeBeyond(parts[0] as PlannedRestore, log);
    for (const { compared, conflicts } of done) {
      log.compared(compared);
      if (conflicts) log.files.push({ what: 'keys that were live already', key: conflicts });
    }
    const figures = done.map((each) => each.figures).reduce(addFigures, noFigures);

    await unfence();
    // From here on only looking goes on, at a limited rate.
    await owner.release();
    for (const [index, part] of parts.entries()) {
      log.compared(await compareEverything({ story }, part, done[index] as PutBack));
    }
    log.figures = { ...log.figures, ...figuresOfReport(figures) };
    const { restored, kept, replaced, expired } = figures;
    const told =
      parts.length === 0
        ? `Nothing was taken from a backup (${choice}).`
        : `${restored} keys are back from ${parts[0]?.point.id}; of those written since ${kept} are as they were and ${replaced} were replaced (${choice}).`;
    const report = await log.store('recovered', told);
    story.phase('done', { outcome: 'recovered' });
    return {
      instance,
      kind: 'accidental-flush',
      recovered: true,
      sentences: [told],
      keys: { restored, kept, replaced, expired },
      fencedSeconds: log.figures.fencedSeconds,
      report,
    };
  } catch (error) {
    const outcome = IncidentLog.outcomeOf(error, isCancellation(error));
    story.tell(sentenceOf(error));
    await CancellationScope.nonCancellable(async () => {
      // Whatever ended it: nobody is left without their rights, and what happened is written down.
      await unfence().catch((left: unknown) =>
        log.openPoints.push(`${sentenceOf(left)} Next: rewind unfence ${instance}`),
      );
      await log.store(outcome, sentenceOf(error)).catch(() => undefined);
    });
    story.phase('failed', { outcome });
    throw error;
  } finally {
    await CancellationScope.nonCancellable(async () => {
      await steps.cleanUpRestore({ instance, policyDigest: policy.digest, restoreId });
      await replay?.cleanUp();
      await owner.release();
      await gates.close();
    });
  }
}
