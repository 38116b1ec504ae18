import { workflowInfo } from '@temporalio/workflow';
import type { BackupPlan } from '../activities/policy.ts';
import type { RestorePlan } from '../restore/plan-restore.ts';
import { backUp } from './backup-run.ts';
import { refuseOrGo } from './failure-code.ts';
import { megabytes, seconds } from './figures.ts';
import type { GatePlan, Gates } from './gate.ts';
import { withPatience } from './park.ts';
import type { PlannedRestore } from './put-back.ts';
import { runFailure } from './run-failure.ts';
import type { RunStory } from './run-story.ts';

const KEEP = 'with-safety-copy';
const NOTHING_TO_KEEP = 'nothing-to-keep';

/**
 * Asks a person before anything that is live may go, and backs up and proves what is live where that person does not say
 * that there is nothing to keep.
 */
export async function approveRestore(
  { gates, story }: { gates: Gates; story: RunStory },
  into: BackupPlan,
  restore: PlannedRestore,
): Promise<void> {
  const { steps, subject, request, point, staged } = restore;
  const answer = await gates.ask({
    name: 'restore',
    ...gatePlan(restore.plan),
    refresh: async () =>
      gatePlan(refuseOrGo(await steps.planRestore(request, point, staged, await steps.lookAtTarget(subject)))),
  });
  if (answer.choice !== NOTHING_TO_KEEP) await keepWhatIsLive({ gates, story }, into);
}

/** The safety copy: a backup as any other, proven before anything goes. */
export async function keepWhatIsLive(
  { gates, story }: { gates: Gates; story: RunStory },
  { policy, backupId, tier }: BackupPlan,
): Promise<void> {
  const incident = workflowInfo().workflowId;
  const subject = { instance: policy.instance, policyDigest: policy.digest, backupId, tier, incident };
  await withPatience(
    'safety copy',
    async () => {
      const backup = await backUp(policy, subject, story);
      if (backup.state !== 'verified') throw runFailure('SAFETY_COPY_NOT_PROVEN', `${backup.id}: ${backup.reason}`);
      story.tell(`what was live is kept in ${backup.id}: ${backup.keys} keys`);
    },
    { gates, story, safeToSkip: true, alreadyDone: () => 'The restore is approved; nothing of it is done yet.' },
  );
}

/** What is shown, and what of it an approval is bound to: a count of live keys only by its order, for it swings by itself. */
function gatePlan(plan: RestorePlan): GatePlan {
  const { backup } = plan;
  const loses = plan.loses.join('; ');
  return {
    summary: [
      `Restore ${backup.id} (${backup.time}, ${backup.state}, ${backup.keys} keys, ${megabytes(backup.sizeBytes)}) into ${plan.into}.`,
      `How: ${plan.why}.`,
      `What goes: ${loses}.`,
      `How long: about ${seconds(plan.seconds * 1000)}, after the safety copy.`,
      ...plan.tells,
    ].join('\n\n'),
    choices: [
      { id: KEEP, text: 'Back up and prove what is live now, then do it.', loses },
      {
        id: NOTHING_TO_KEEP,
        text: 'Do it at once: there is nothing to keep of what is live now.',
        loses: `${loses}, for good`,
      },
    ],
    default: KEEP,
    plan: {
      way: plan.way,
      into: plan.into,
      backup: backup.id,
      selected: plan.selected.keys,
      liveKeys: plan.liveKeys === 0 ? 0 : 2 ** Math.ceil(Math.log2(plan.liveKeys)),
      destructive: plan.destructive,
    },
  };
}
