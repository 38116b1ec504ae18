import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { type Compacted, compactHours } from '../archive/compact-hours.ts';
import { pruneOwnChanges } from '../archive/loss/prune-own-changes.ts';
import { type Pruned, pruneMoments } from '../archive/prune-moments.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import { runStep } from './step.ts';

export interface TendedArchive extends Compacted {
  /** Absent while an incident is open, or a restore changes the instance: nothing is removed then. */
  readonly pruned?: Pruned;
}

/** Keeps the archive small: closed hours become one object each, and of what is too old only the bases are kept. */
export function archiveCareActivities(
  contextOf: (subject: { instance: string }) => Promise<InstanceContext>,
  client: Client,
) {
  return {
    tendArchive: ({ instance }: { instance: string }): Promise<TendedArchive> =>
      runStep(async (io) => {
        const { repository, policy } = await contextOf({ instance });
        const place = { repository, instance };
        const compacted = await compactHours(place, io);
        if (!policy.archive || (await isOwned(client, instance))) return compacted;
        const keepFromMs = Date.now() - policy.archive.keepMomentsSeconds * 1_000;
        await pruneOwnChanges(place);
        return { ...compacted, pruned: await pruneMoments(place, keepFromMs, io) };
      }),
  };
}

/** True while a runbook, a restore or a backup owns the instance. */
async function isOwned(client: Client, instance: string): Promise<boolean> {
  try {
    const { status } = await client.workflow.getHandle(`owner/${instance}`).describe();
    return status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

export type ArchiveCareActivities = ReturnType<typeof archiveCareActivities>;
