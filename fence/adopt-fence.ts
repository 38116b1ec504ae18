import { RewindError } from '../errors/rewind-error.ts';
import type { Repository } from '../repository/repository.ts';
import { addOwner, type FenceRecord, findOpenFences } from './fence-record.ts';

type Owner = FenceRecord['owner'];

/** A fence that has another owner now. */
export interface AdoptedFence {
  readonly fenceId: string;
  /** Who held it before. */
  readonly from: Owner;
  readonly fencedAt: string;
  /** Its undoing had begun: nothing is fenced under its id any more, and it wants to be undone to the end. */
  readonly ending: boolean;
}

/**
 * Gives a fence whose owner is gone to another one: the rules from before it are on record, and whoever holds it can give
 * them back exactly. The change is written down before anybody acts on it.
 *
 * @param isGone whether an owner has ended for certain; where that is not known, false
 * @throws FENCE_ALREADY_OPEN where the owner may still run; FENCE_UNKNOWN where none is open; FENCE_RECORD_INVALID
 */
export async function adoptFence(
  repository: Repository,
  instance: string,
  owner: Owner,
  isGone: (owner: Owner) => Promise<boolean>,
): Promise<AdoptedFence> {
  const [fence] = await findOpenFences(repository, instance);
  if (!fence) throw new RewindError('FENCE_UNKNOWN', `No fence of ${instance} is open.`);
  const { record, ending } = fence;
  const { fenceId, fencedAt, owner: from } = record;
  const adopted = { fenceId, from, fencedAt, ending };
  // Adopted by an earlier attempt.
  if (from.workflowId === owner.workflowId && from.runId === owner.runId) return adopted;
  if (!(await isGone(from))) {
    const by = from.workflowId ?? 'a run that left no name';
    throw new RewindError(
      'FENCE_ALREADY_OPEN',
      `${instance} has an open fence since ${fencedAt}: ${fenceId}, of ${by}, of which it is not certain that it has ended.`,
    );
  }
  await addOwner(repository, record, owner, new Date().toISOString());
  return adopted;
}
