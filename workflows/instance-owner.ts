import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  CancellationScope,
  condition,
  defineSignal,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  patched,
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
  /** A runbook has taken the instance over meanwhile. */
  readonly taken: boolean;
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
      let ended = false;
      const noteEnd = () => {
        ended = true;
      };
      lock.result().then(noteEnd, noteEnd);
      return {
        get taken() {
          return ended;
        },
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

/** What a runbook takes an instance over with; until the lock of its owner is gone. */
const takeOverEveryMs = 100;

/**
 * As `ownInstance`, for a runbook, which waits for no backup: one that owns the instance goes on without owning it, as one does
 * that is begun beside the runbook.
 *
 * @throws ApplicationFailure INSTANCE_BUSY where another runbook, or a restore, owns it
 */
export async function ownForIncident(instance: string): Promise<Ownership> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ownInstance(instance);
    } catch (error) {
      const isBackup = busyWith(error)?.ownerType === 'scheduledBackup';
      if (!isBackup || attempt === TRIES || !patched('take-over-from-backup')) throw error;
      const lock = getExternalWorkflowHandle(`owner/${instance}`);
      // Gone already: the backup has just ended.
      await lock.signal(releaseSignal).catch(() => undefined);
      await sleep(takeOverEveryMs);
    }
  }
}

/** Who has the instance, where that is what it failed with. */
function busyWith(error: unknown): { owner: string; ownerType: string } | undefined {
  if (!(error instanceof ApplicationFailure) || error.type !== 'INSTANCE_BUSY') return undefined;
  return (error.details ?? [])[0] as { owner: string; ownerType: string } | undefined;
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
    const busy = busyWith(error);
    if (!busy || !INCIDENTS.has(busy.ownerType)) throw error;
    return { incident: busy.owner };
  }
}

/** The runbook that has taken the instance over from a backup meanwhile. */
export async function incidentSince(instance: string, owner: Ownership | undefined): Promise<string | undefined> {
  if (!owner?.taken) return undefined;
  return (await describeOwner({ instance }))?.workflowId ?? 'an incident';
}
