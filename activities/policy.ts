import type { InstanceContext } from '../backup/instance-context.ts';
import type { BackupSubject } from '../backup/subject.ts';
import type { LoadedConfig } from '../config/load.ts';
import { type InstancePolicy, policyOf } from '../policy/instance-policy.ts';
import { chooseTier, type Tier } from '../policy/tier.ts';
import { latestByTier } from '../repository/catalogue.ts';
import { newBackupId } from '../repository/layout.ts';
import { runStep } from './step.ts';

export interface ReadPolicyInput {
  readonly instance: string;
  readonly tier?: Tier;
  /** ISO time and a random text, both from the workflow, so that a repetition names the same backup. */
  readonly startedAt: string;
  readonly nonce: string;
}

export interface BackupPlan {
  readonly policy: InstancePolicy;
  readonly backupId: string;
  readonly tier: Tier;
}

/** The only way by which a workflow sees the configuration: once, at its start, without secrets. */
export function policyActivities(
  config: LoadedConfig,
  contextOf: (subject: Pick<BackupSubject, 'instance'>) => Promise<InstanceContext>,
) {
  return {
    readPolicy: (input: ReadPolicyInput): Promise<BackupPlan> =>
      runStep(async () => {
        const policy = policyOf(config, input.instance);
        const now = new Date(input.startedAt);
        const { repository } = await contextOf({ instance: input.instance });
        const tier = input.tier ?? chooseTier(now, await latestByTier(repository, input.instance));
        return { policy, backupId: newBackupId(now, input.nonce), tier };
      }),
  };
}

export type PolicyActivities = ReturnType<typeof policyActivities>;
