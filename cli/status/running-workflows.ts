import type { Client } from '@temporalio/client';
import { searchAttributes } from '../../workflows/search-attributes.ts';

/** A run that is under way, as far as Temporal itself tells: no worker has to answer. */
export interface RunningWorkflow {
  readonly workflowId: string;
  readonly runId: string;
  readonly type: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly phase?: string;
  /** Activities that are at work or waited for. */
  readonly steps: readonly string[];
  readonly backupId?: string;
}

/** The running workflows of every instance, found by their search attribute; their ids say nothing here. */
export async function runningWorkflows(client: Client): Promise<ReadonlyMap<string, readonly RunningWorkflow[]>> {
  const found = new Map<string, RunningWorkflow[]>();
  const query = `${searchAttributes.instance.name} IS NOT NULL AND ExecutionStatus = 'Running'`;
  for await (const { workflowId, runId, type, startTime, typedSearchAttributes } of client.workflow.list({ query })) {
    const instance = typedSearchAttributes.get(searchAttributes.instance);
    if (instance === undefined) continue;
    const { raw, status } = await client.workflow.getHandle(workflowId, runId).describe();
    // The list may be a moment old.
    if (status.name !== 'RUNNING') continue;
    const phase = typedSearchAttributes.get(searchAttributes.phase);
    const backupId = typedSearchAttributes.get(searchAttributes.backupId);
    found.set(instance, [
      ...(found.get(instance) ?? []),
      {
        workflowId,
        runId,
        type,
        startedAt: startTime.toISOString(),
        ...(phase === undefined ? {} : { phase }),
        steps: (raw.pendingActivities ?? []).map(({ activityType }) => activityType?.name ?? '').filter(Boolean),
        ...(backupId === undefined ? {} : { backupId }),
      },
    ]);
  }
  return found;
}
