import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  condition,
  ParentClosePolicy,
  proxyActivities,
  sleep,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { OwnerActivities } from '../activities/owner.ts';

/**
 * The lock of an instance: it does nothing but exist under an id that Temporal gives only once. It is terminated with
 * the workflow that started it, however that one ends, so a dead owner never holds an instance.
 */
export async function instanceOwner(_owner: { workflowId: string }): Promise<void> {
  await condition(() => false);
}

const { describeOwner } = proxyActivities<OwnerActivities>({ startToCloseTimeout: '10s' });

/** An owner that has just ended holds the id for a moment (measured: under two seconds). */
const TRIES = 5;

/**
 * Makes this workflow the one owner of `instance`, or ends it at once with the name of the one that is.
 *
 * @throws ApplicationFailure INSTANCE_BUSY
 */
export async function ownInstance(instance: string): Promise<void> {
  const me = workflowInfo();
  for (let attempt = 1; ; attempt += 1) {
    try {
      await startChild(instanceOwner, {
        workflowId: `owner/${instance}`,
        args: [{ workflowId: me.workflowId }],
        parentClosePolicy: ParentClosePolicy.TERMINATE,
        staticSummary: `${instance} is owned by ${me.workflowId}`,
        memo: { owner: me.workflowId },
      });
      return;
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      const owner = await describeOwner({ instance });
      if (owner?.running && (owner.workflowId !== me.workflowId || owner.runId !== me.runId)) {
        throw ApplicationFailure.create({
          type: 'INSTANCE_BUSY',
          nonRetryable: true,
          message: `${instance} is owned by the workflow ${owner.workflowId}, which is running; this one changed nothing.`,
        });
      }
      if (attempt === TRIES) throw error;
      await sleep('1s');
    }
  }
}
