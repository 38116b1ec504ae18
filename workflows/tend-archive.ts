import { proxyActivities } from '@temporalio/workflow';
import type { ArchiveCareActivities } from '../activities/archive-care.ts';
import type { DescribePolicyActivity } from '../activities/check.ts';
import { patienceOf } from './patience.ts';
import { RunStory } from './run-story.ts';

/**
 * Compacts and prunes the archive of an instance, beside the run that ships it: that one must not wait. Cut off anywhere it
 * is gone on with the next time.
 */
export async function tendArchive({ instance }: { instance: string }): Promise<{ instance: string }> {
  const story = new RunStory(`Archive of ${instance} tended`, instance);
  const plain = proxyActivities<DescribePolicyActivity>({ taskQueue: 'rewind', startToCloseTimeout: '1m' });
  const policy = await plain.describePolicy.executeWithOptions({ summary: 'what is configured?' }, [{ instance }]);
  const orchestrator = proxyActivities<ArchiveCareActivities>({ ...patienceOf(policy), taskQueue: 'rewind' });
  story.step('tendArchive');
  const { hours, segments, pruned, tells } = await orchestrator.tendArchive.executeWithOptions(
    { activityId: 'tendArchive', summary: 'closed hours become one object each' },
    [{ instance }],
  );
  story.tell(
    `${segments} segments became ${hours} hours; ${pruned ? `${pruned.segments + pruned.hours} objects were too old` : 'nothing was removed for its age'}`,
  );
  for (const sentence of tells) story.tell(sentence);
  story.phase('done', { outcome: 'tended' });
  return { instance };
}
