import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  condition,
  defineSignal,
  ParentClosePolicy,
  proxyActivities,
  setHandler,
  sleep,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { OwnerActivities } from '../activities/owner.ts';

const releaseSignal = defineSignal('release');

/**
 * The lock of an instance: it does nothing but exist under an id that Temporal gives only once. Its owner releases it;
 * where the owner cannot (terminated, timed out), Temporal terminates it, so a dead owner never holds an instance.
 */
export async function instanceOwner(_owner: { workflowId: string }): Promise<void> {
  let released = false;
  setHandler(releaseSignal, () => {
    released = true;
  });
  await condition(() => released);
}

export interface Ownership {
  /** Lets go of the instance. Whoever does not do it lets go by ending. */
  release(): Promise<void>;
}

const { describeOwner } = proxyActivities<OwnerActivities>({ startToCloseTimeout: '10s' });

/** An owner that has just ended holds the id for a moment: under two seconds measured, more on a busy server. */
const TRIES = 30;

/**
 * Makes this workflow the one owner of `instance`, or ends it at once with the name of the one that is.
 *
 * @throws ApplicationFailure INSTANCE_BUSY
 */
export async function ownInstance(instance: string): Promise<Ownership> {
  const me = workflowInfo();
  for (let attempt = 1; ; attempt += 1) {
    try {
      // A cancelled owner still cleans up: the lock must not be cancelled with it, but released after that.
      const lock = await CancellationScope.nonCancellable(() =>
        startChild(instanceOwner, {
          workflowId: `owner/${instance}`,
          args: [{ workflowId: me.workflowId }],
          parentClosePolicy: ParentClosePolicy.TERMINATE,
          staticSummary: `${instance} is owned by ${me.workflowId}`,
          memo: { owner: me.workflowId },
        }),
      );
      return {
        release: async () => {
          try {
            await lock.signal(releaseSignal);
            await lock.result();
          } catch {
            // Somebody ended the lock by hand: it is let go of, and what this run ends with is its own outcome.
          }
        },
      };
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      const owner = await describeOwner({ instance });
      if (owner?.running && (owner.workflowId !== me.workflowId || owner.runId !== me.runId)) {
        throw ApplicationFailure.create({
          type: 'INSTANCE_BUSY',
          nonRetryable: true,
          message: `${instance} is owned by the workflow ${owner.workflowId}, which is running; this one changed nothing.`,
          details: [{ owner: owner.workflowId, ownerType: owner.type }],
        });
      }
      if (attempt === TRIES) throw error;
      await sleep('1s');
    }
  }
}

/** Runbooks that stand still for a person, for hours if need be: backups go on beside them, and say so. */
const INCIDENTS = new Set(['recoverNodeCrash', 'recoverDataCorruption', 'recoverAccidentalFlush', 'restoreToPoint']);

/**
 * As `ownInstance`, for a backup: where a runbook owns the instance it is taken all the same, without ownership, and
 * `incident` names that runbook.
 *
 * @throws ApplicationFailure INSTANCE_BUSY where another backup owns it
 */
export async function ownBesideIncident(instance: string): Promise<{ owner?: Ownership; incident?: string }> {
  try {
    return { owner: await ownInstance(instance) };
  } catch (error) {
    if (!(error instanceof ApplicationFailure) || error.type !== 'INSTANCE_BUSY') throw error;
    const [busy] = (error.details ?? []) as { owner: string; ownerType: string }[];
    if (!busy || !INCIDENTS.has(busy.ownerType)) throw error;
    return { incident: busy.owner };
  }
}
