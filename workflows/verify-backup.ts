import { proxyActivities, uuid4, workflowInfo } from '@temporalio/workflow';
import type { CatalogueActivities } from '../activities/catalogue.ts';
import type { PublishedBackup } from '../backup/publish.ts';
import { readPolicy } from './backup-steps.ts';
import { contradicted, sentenceOf } from './failure-code.ts';
import { patienceOf } from './patience.ts';
import { loadAndVerify } from './proof-step.ts';
import { RunStory } from './run-story.ts';

export interface VerifyBackupInput {
  readonly instance: string;
  /** Its id. */
  readonly backup: string;
}

/** Proves a backup that is in the repository, however old: loads it and compares. It changes nothing in Redis. */
export async function verifyBackup(input: VerifyBackupInput): Promise<{ instance: string; backup: PublishedBackup }> {
  const story = new RunStory(`Proof of ${input.backup}`, input.instance);
  try {
    const startedAt = workflowInfo().startTime.toISOString();
    const { policy } = await readPolicy({ instance: input.instance, startedAt, nonce: uuid4() });
    const catalogue = proxyActivities<CatalogueActivities>({ ...patienceOf(policy), taskQueue: 'rewind' });
    const wanted = { instance: input.instance, policyDigest: policy.digest, backup: input.backup };
    story.phase('proving', { backupId: input.backup });
    const request = await catalogue.describeBackup(wanted);
    const proof = await loadAndVerify(policy, request, story);
    const backup = await catalogue.recordProof(wanted, proof);
    story.phase('done', { outcome: backup.state });
    if (backup.state === 'failed') throw contradicted(backup);
    return { instance: input.instance, backup };
  } catch (error) {
    story.tell(sentenceOf(error));
    throw error;
  }
}
