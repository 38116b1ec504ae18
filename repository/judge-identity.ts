/** What is known of the instance, and what the server that answers under its name shows. */
export interface IdentityEvidence {
  /** From the repository; absent before the first backup. */
  readonly recorded?: {
    readonly id: string;
    readonly replicationIds: readonly string[];
    readonly addresses: readonly string[];
  };
  /** What this agent keeps from the last time, and the address that it reached the instance by. */
  readonly heldByAgent?: { readonly id: string; readonly address?: string };
  readonly replId: string;
  /** The history that the current one continues; Redis shows zeroes where there is none. */
  readonly replId2?: string;
  /** `host:port` by which the server was reached. */
  readonly address?: string;
}

/**
 * `new`: nobody has the name. `same`: the instance. `adopt-known-lineage`: the instance, by its replication history,
 * though this agent does not know it: hold its identity from now on. `refuse`: another server, until a person says so.
 */
export type IdentityJudgement = 'new' | 'same' | 'adopt-known-lineage' | 'refuse';

/**
 * Whether the server that answers is the instance whose backups are in the repository.
 *
 * No sign is enough by itself: a replication id changes at an ordinary restart, a replica that was cut off keeps its
 * primary's as the second one, and `127.0.0.1:6379` is an address on every machine.
 */
export function judgeIdentity(evidence: IdentityEvidence): IdentityJudgement {
  const { recorded, heldByAgent, replId, replId2, address } = evidence;
  if (!recorded) return 'new';
  const isKnown = (id: string | undefined) =>
    id !== undefined && /[^0]/.test(id) && recorded.replicationIds.includes(id);
  const listed = address !== undefined && recorded.addresses.includes(address);
  if (heldByAgent?.id === recorded.id) {
    // A restart, or a restore in place: new ids at the old address. A failover: another listed address.
    const sameAddress = heldByAgent.address === undefined || heldByAgent.address === address;
    return sameAddress || listed || isKnown(replId) || isKnown(replId2) ? 'same' : 'refuse';
  }
  if (isKnown(replId)) return 'adopt-known-lineage';
  // A copy made by replication and cut off has this history, too: only a listed address makes it a failover.
  return isKnown(replId2) && listed ? 'adopt-known-lineage' : 'refuse';
}
