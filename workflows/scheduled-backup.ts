import { CancellationScope, uuid4, workflowInfo } from '@temporalio/workflow';
import type { PublishedBackup } from '../backup/publish.ts';
import type { Tier } from '../policy/tier.ts';
import { backUp } from './backup-run.ts';
import { readPolicy } from './backup-steps.ts';
import { incidentSince, ownBesideIncident } from './instance-owner.ts';
import { RunStory } from './run-story.ts';

export interface ScheduledBackupInput {
  readonly instance: string;
  readonly tier?: Tier;
}

export interface ScheduledBackupResult {
  readonly instance: string;
  readonly backup: PublishedBackup;
}

/**
 * Takes a backup and calls it one only after what is in the store was loaded and compared.
 */
export async function scheduledBackup(input: ScheduledBackupInput): Promise<ScheduledBackupResult> {
  const story = new RunStory(`Backup of ${input.instance}`, input.instance);
  const { policy, backupId, tier } = await readPolicy({
    instance: input.instance,
    tier: input.tier,
    startedAt: workflowInfo().startTime.toISOString(),
    nonce: uuid4(),
  });
  const { owner, incident } = await ownBesideIncident(input.instance);
  if (incident) story.tell(`${incident} is open: this backup is taken beside it, and flagged`);
  try {
    const subject = { instance: input.instance, policyDigest: policy.digest, backupId, tier, incident };
    return {
      instance: input.instance,
      backup: await backUp(policy, subject, story, () => incidentSince(input.instance, owner)),
    };
  } finally {
    await CancellationScope.nonCancellable(async () => owner?.release());
  }
}
