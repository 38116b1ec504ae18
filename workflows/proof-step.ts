import { proxyActivities } from '@temporalio/workflow';
import type { ProofActivities } from '../activities/proof.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import type { ProofReport, ProofRequest } from '../sandbox/prove.ts';
import { failureCode } from './failure-code.ts';
import { seconds } from './figures.ts';
import { patienceOf } from './patience.ts';
import type { RunStory } from './run-story.ts';

/** A sandbox takes one proof at a time, so one may have to wait for others without anything being wrong. */
const PROOFS_AHEAD = 6;

/** Has a sandbox load what is in the store. Where none answers, that is what the proof says: nothing was shown. */
export async function loadAndVerify(
  policy: InstancePolicy,
  request: ProofRequest,
  story: RunStory,
): Promise<ProofReport> {
  const waitMs = policy.timeouts.roleSilenceMs * PROOFS_AHEAD;
  const sandbox = proxyActivities<ProofActivities>({
    ...patienceOf(policy),
    scheduleToStartTimeout: waitMs,
    taskQueue: 'rewind-sandbox',
  });
  story.step('loadAndVerify');
  try {
    const proof = await sandbox.loadAndVerify.executeWithOptions(
      { activityId: 'loadAndVerify', summary: `load ${request.facts.keys} keys from the store and compare` },
      [request],
    );
    for (const check of proof.checks) story.tell(check.detail);
    return proof;
  } catch (error) {
    if (failureCode(error) !== 'TIMEOUT_SCHEDULE_TO_START') throw error;
    const detail = `no sandbox worker took it from rewind-sandbox within ${seconds(waitMs)}; rewind verify ${policy.instance} ${request.id} proves it later`;
    story.tell(detail);
    return { checks: [{ name: 'load', result: 'not-possible', detail }] };
  }
}
