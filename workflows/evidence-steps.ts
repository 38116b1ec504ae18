import { proxyActivities } from '@temporalio/workflow';
import type { EvidenceActivities } from '../activities/incident.ts';
import type { FlushEvidence } from '../incident/evidence/who-flushed.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { patienceOf } from './patience.ts';
import type { RunStory } from './run-story.ts';

export type EvidenceSteps = ReturnType<typeof evidenceSteps>;

/** What happened, as far as anybody can tell. */
export function evidenceSteps(policy: InstancePolicy, story: RunStory) {
  const host = proxyActivities<EvidenceActivities>({ ...patienceOf(policy), taskQueue: policy.hostQueue });
  return {
    async gatherEvidence(): Promise<FlushEvidence> {
      story.step('gatherEvidence');
      const subject = { instance: policy.instance, policyDigest: policy.digest };
      const evidence = await host.gatherEvidence.executeWithOptions({ summary: 'when, and by whom?' }, [subject]);
      for (const sentence of evidence.sentences) story.tell(sentence);
      return evidence;
    },

    async swapBack(subject: RestoreSubject, databases: readonly [number, number], wanted: number) {
      story.step('swapBack');
      await host.swapBack.executeWithOptions({ summary: `SWAPDB ${databases.join(' ')}` }, [
        subject,
        databases,
        wanted,
      ]);
      story.tell(`the databases ${databases.join(' and ')} are exchanged back`);
    },

    async findLossKind(subject: RestoreSubject, point: RestorePoint, evidence: FlushEvidence) {
      story.step('findLossKind');
      const loss = await host.findLossKind.executeWithOptions({ summary: `what of ${point.id} is gone?` }, [
        subject,
        point,
        evidence,
      ]);
      for (const sentence of loss.sentences) story.tell(sentence);
      return loss;
    },
  };
}
