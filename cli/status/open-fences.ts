import type { Client } from '@temporalio/client';
import { findOpenFences } from '../../fence/fence-record.ts';
import type { Repository } from '../../repository/repository.ts';
import { ownerRuns } from './fence-owner.ts';

/** A fence that was not undone, as `status --json` prints it. */
export interface OpenFenceStatus {
  /** Absent where its record cannot be read. */
  readonly fenceId?: string;
  /** ISO 8601, by Redis' clock. */
  readonly since?: string;
  /** Id of the workflow that holds it. */
  readonly owner?: string;
  /** Absent where Temporal could not be asked. */
  readonly ownerRuns?: boolean;
  /** Why it cannot be told more of. */
  readonly problem?: string;
  /** What undoes it, once nobody else does. */
  readonly command: string;
}

/** The fences of an instance as the repository has them; whether a run still holds them is asked of Temporal. */
export async function openFences(
  repository: Repository,
  instance: string,
  client: Client | undefined,
): Promise<readonly OpenFenceStatus[]> {
  const command = `rewind unfence ${instance}${client ? '' : ' --without-temporal'}`;
  try {
    const open = await findOpenFences(repository, instance);
    return await Promise.all(
      open.map(async ({ record: { fenceId, fencedAt, owner } }) => {
        const runs = client && (await ownerRuns(client, owner).catch(() => undefined));
        return {
          fenceId,
          since: fencedAt,
          ...(owner.workflowId === undefined ? {} : { owner: owner.workflowId }),
          ...(runs === undefined ? {} : { ownerRuns: runs }),
          command,
        };
      }),
    );
  } catch (error) {
    // A record that cannot be read must not be taken for none, nor keep the rest from being told.
    return [{ problem: (error as Error).message, command }];
  }
}
