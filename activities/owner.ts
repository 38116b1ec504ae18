import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';

export interface Owner {
  readonly workflowId: string;
  readonly runId: string;
  readonly type: string;
  readonly running: boolean;
}

/** Who owns an instance: asked only by a workflow that found it taken. */
export function ownerActivities(client: Client) {
  return {
    async describeOwner({ instance }: { instance: string }): Promise<Owner | undefined> {
      try {
        const lock = await client.workflow.getHandle(`owner/${instance}`).describe();
        if (lock.status.name !== 'RUNNING') return undefined;
        const parent = lock.raw.workflowExecutionInfo?.parentExecution;
        if (!parent?.workflowId) return undefined;
        const owner = await client.workflow.getHandle(parent.workflowId, parent.runId ?? undefined).describe();
        const { workflowId, runId, type, status } = owner;
        return { workflowId, runId, type, running: status.name === 'RUNNING' };
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return undefined;
        throw error;
      }
    },
  };
}

export type OwnerActivities = ReturnType<typeof ownerActivities>;
