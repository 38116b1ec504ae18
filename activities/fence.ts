import { Context } from '@temporalio/activity';
import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { InstanceContext } from '../backup/instance-context.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { type AdoptedFence, adoptFence } from '../fence/adopt-fence.ts';
import type { FenceRecord } from '../fence/fence-record.ts';
import { type FenceReport, fenceWrites } from '../fence/fence-writes.ts';
import { type UnfenceReport, unfenceWrites } from '../fence/unfence-writes.ts';
import { watchFence } from '../fence/watch-fence.ts';
import { runStep } from './step.ts';

export interface FenceSubject {
  readonly instance: string;
  readonly policyDigest: string;
  readonly fenceId: string;
  /** The run that holds the fence. */
  readonly workflowId: string;
  /** Its first run, where it has had several. */
  readonly runId?: string;
}

export interface FenceWatched {
  /** Users that had to be fenced again, or that were made meanwhile. */
  readonly fencedLater: readonly string[];
  readonly restarts: number;
}

/** Taking writing from everybody but the product, and giving it back. They run beside Redis. */
export function fenceActivities(contextOf: (subject: FenceSubject) => Promise<InstanceContext>) {
  const order = ({ repository, home }: InstanceContext, { instance, fenceId, workflowId, runId }: FenceSubject) => ({
    repository,
    instance,
    fenceId,
    home,
    owner: { workflowId, ...(runId ? { runId } : {}) },
  });
  return {
    fenceWrites: (subject: FenceSubject): Promise<FenceReport> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        return fenceWrites(context.target, order(context, subject), io);
      }),

    /**
     * Looks every second who may write, until the fence is undone. It is cancelled by the run; where the run was
     * terminated it ends here, and the fence stays: failing safe, and said.
     */
    watchFence: (subject: FenceSubject): Promise<FenceWatched> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        const { endedBy, ...watched } = await watchFence(context.target, order(context, subject), io);
        if (endedBy === 'signal') {
          sayIfOrphaned(subject);
          io.signal.throwIfAborted();
        }
        return watched;
      }),

    unfenceWrites: (subject: FenceSubject): Promise<UnfenceReport | undefined> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        return unfenceWrites(context.target, order(context, subject), io);
      }),
  };
}

/** Temporal answers a heartbeat of a run that was terminated with `not found`. */
function sayIfOrphaned({ instance, fenceId, workflowId }: FenceSubject): void {
  const { cancellationDetails, log } = Context.current();
  if (!cancellationDetails?.notFound) return;
  const message = `fence without an owner: ${workflowId} is gone and ${instance} stays fenced (${fenceId}); next: rewind unfence ${instance}`;
  log.error(message, { instance, fenceId });
}

/** Undoing whatever fence is open, for `rewind unfence`: there is no run that holds it any more. */
export function unfenceActivities(
  contextOf: (subject: Pick<FenceSubject, 'instance' | 'policyDigest'>) => Promise<InstanceContext>,
) {
  return {
    unfenceOpen: (subject: Pick<FenceSubject, 'instance' | 'policyDigest'>): Promise<UnfenceReport> =>
      runStep(async (io) => {
        const { target, repository, home } = await contextOf(subject);
        const undone = await unfenceWrites(target, { repository, instance: subject.instance, home }, io);
        if (undone) return undone;
        throw new RewindError('FENCE_UNKNOWN', `No fence of ${subject.instance} is open.`);
      }),
  };
}

/** A fence that was left behind gets another owner, by whoever can ask Temporal whether the first one is gone. */
export function adoptFenceActivities(
  contextOf: (subject: Pick<FenceSubject, 'instance' | 'policyDigest'>) => Promise<InstanceContext>,
  client: Client,
) {
  return {
    adoptFence: ({ workflowId, runId, ...subject }: Omit<FenceSubject, 'fenceId'>): Promise<AdoptedFence> =>
      runStep(async () => {
        const { repository } = await contextOf(subject);
        const owner = { workflowId, ...(runId ? { runId } : {}) };
        return adoptFence(repository, subject.instance, owner, (of) => hasEnded(client, of));
      }),
  };
}

/**
 * Whether the run that holds a fence is at its end for certain: it is closed, or another one has its id since. A run that
 * this Temporal does not know may go on in another one.
 */
async function hasEnded(client: Client, { workflowId, runId }: FenceRecord['owner']): Promise<boolean> {
  if (workflowId === undefined) return false;
  try {
    const { status, raw } = await client.workflow.getHandle(workflowId).describe();
    const first = raw.workflowExecutionInfo?.firstRunId;
    const isAnother = runId !== undefined && first !== undefined && first !== null && first !== '' && first !== runId;
    return status.name !== 'RUNNING' || isAnother;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

export type AdoptFenceActivities = ReturnType<typeof adoptFenceActivities>;
export type FenceActivities = ReturnType<typeof fenceActivities>;
export type UnfenceActivities = ReturnType<typeof unfenceActivities>;
