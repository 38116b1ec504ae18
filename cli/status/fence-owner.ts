import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { FenceOnRecord } from '../../fence/fence-state.ts';

/** Whether the run that holds a fence is still there to undo it. Another run under the same id does not hold it. */
export async function ownerRuns(client: Client, { workflowId, runId }: FenceOnRecord['owner']): Promise<boolean> {
  if (workflowId === undefined) return false;
  try {
    const { status, raw } = await client.workflow.getHandle(workflowId).describe();
    const first = raw.workflowExecutionInfo?.firstRunId;
    const another = runId !== undefined && first !== undefined && first !== null && first !== '' && first !== runId;
    return status.name === 'RUNNING' && !another;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
