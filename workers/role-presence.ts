import type { Client } from '@temporalio/client';
import proto from '@temporalio/proto';
import type { QueueFacts } from '../check/observed.ts';

const { TASK_QUEUE_TYPE_ACTIVITY, TASK_QUEUE_TYPE_WORKFLOW } = proto.temporal.api.enums.v1.TaskQueueType;
const { PENDING_ACTIVITY_STATE_STARTED } = proto.temporal.api.enums.v1.PendingActivityState;

/** A poll lasts a minute at most: a worker that has not asked for longer is gone, though Temporal lists it for five. */
const POLL_MS = 75_000;
/** Proofs looked at for one that a sandbox is at; each sandbox does one at a time. */
const PROOFS = 10;

/** Who polls a task queue: workers of workflows, or of activities. */
export async function queueFacts(client: Client, queue: string, kind: 'workflows' | 'activities'): Promise<QueueFacts> {
  const { pollers } = await client.workflowService.describeTaskQueue({
    namespace: client.options.namespace,
    taskQueue: { name: queue },
    taskQueueType: kind === 'workflows' ? TASK_QUEUE_TYPE_WORKFLOW : TASK_QUEUE_TYPE_ACTIVITY,
  });
  const fresh = (pollers ?? []).filter(({ lastAccessTime }) => {
    const at = Number(lastAccessTime?.seconds ?? 0) * 1000;
    return Date.now() - at < POLL_MS;
  });
  return { queue, pollers: fresh.length };
}

/** A sandbox that proves a backup polls for nothing else: the run whose proof a worker has taken, if there is one. */
export async function runBeingProven(client: Client): Promise<string | undefined> {
  let looked = 0;
  for await (const { workflowId, runId } of client.workflow.list({
    query: `ExecutionStatus = 'Running' AND RewindPhase = 'proving'`,
    pageSize: PROOFS,
  })) {
    if ((looked += 1) > PROOFS) return undefined;
    const { raw } = await client.workflow.getHandle(workflowId, runId).describe();
    const taken = raw.pendingActivities?.some(
      ({ activityType, state }) => activityType?.name === 'loadAndVerify' && state === PENDING_ACTIVITY_STATE_STARTED,
    );
    if (taken) return workflowId;
  }
  return undefined;
}
