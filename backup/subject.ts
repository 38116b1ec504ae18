import type { Tier } from '../policy/tier.ts';

/** What every step of one backup is told: names only, so that a history holds nothing of the data. */
export interface BackupSubject {
  readonly instance: string;
  /** Digest of the policy that the run was planned with; an agent that holds another refuses. */
  readonly policyDigest: string;
  readonly backupId: string;
  readonly tier: Tier;
  /** Id of the runbook that is open meanwhile: what is live may be the incident's, and the backup says so. */
  readonly incident?: string;
}
