import { CancellationScope, proxyActivities, uuid4, workflowInfo } from '@temporalio/workflow';
import type { UnfenceActivities } from '../activities/fence.ts';
import type { UnfenceReport } from '../fence/unfence-writes.ts';
import { readPolicy } from './backup-steps.ts';
import { sentenceOf } from './failure-code.ts';
import { seconds } from './figures.ts';
import { ownInstance } from './instance-owner.ts';
import { patienceOf } from './patience.ts';
import { RunStory } from './run-story.ts';

export interface UnfenceResult {
  readonly instance: string;
  readonly fence: UnfenceReport;
}

/**
 * Puts back the exact rights recorded before a fence that has lost its owner. While the run that holds it is there, that
 * run owns the instance, and this one ends at once and names it.
 */
export async function unfenceInstance({ instance }: { readonly instance: string }): Promise<UnfenceResult> {
  const story = new RunStory(`Unfencing of ${instance}`, instance);
  const startedAt = workflowInfo().startTime.toISOString();
  const { policy } = await readPolicy({ instance, startedAt, nonce: uuid4() });
  const owner = await ownInstance(instance);
  try {
    story.phase('unfencing');
    story.step('unfenceWrites');
    const host = proxyActivities<UnfenceActivities>({ ...patienceOf(policy), taskQueue: policy.hostQueue });
    const subject = { instance, policyDigest: policy.digest };
    const fence = await host.unfenceOpen.executeWithOptions({ summary: 'the rights from before' }, [subject]);
    story.tell(
      `writes were fenced for ${seconds(fence.fencedMs)}; ${fence.restored.length} users have their rights again`,
    );
    story.phase('done', { outcome: 'unfenced' });
    return { instance, fence };
  } catch (error) {
    story.phase('failed', { outcome: 'failed' });
    story.tell(sentenceOf(error));
    throw error;
  } finally {
    await CancellationScope.nonCancellable(() => owner.release());
  }
}
