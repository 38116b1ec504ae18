import { type RedisTarget, withRedis } from '../redis/connection.ts';
import type { Repository } from '../repository/repository.ts';
import { writersOf } from './bring-into-force.ts';
import { readCommands } from './command-table.ts';
import { type FenceRecord, findOpenFences, OWN_USER } from './fence-record.ts';
import { rulesToGiveBack } from './known-rules.ts';
import { readUsers } from './users.ts';

/** A fence of which the undoing is not on record, and what the server says of it. */
export interface FenceOnRecord {
  readonly fenceId: string;
  readonly owner: FenceRecord['owner'];
  readonly fencedAt: string;
  /** How many users it took writing from. */
  readonly users: number;
  readonly ownUser: string;
  /** True once `unfenceWrites` has begun and not ended: it wants to be run again. */
  readonly ending: boolean;
  /** `partly`: some users of it may write, or the own user is gone. `unknown`: the server could not be asked. */
  readonly inForce: 'yes' | 'partly' | 'no' | 'unknown';
  /** Who may write now, but for the own user; at most 20. */
  readonly writers: readonly string[];
}

export interface FenceState {
  readonly fences: readonly FenceOnRecord[];
  /** Users of the form that the product gives its own, of no open fence: left behind, or of another repository. */
  readonly strays: readonly string[];
}

/** For `check` and `status`: changes nothing, and needs ACL LIST and COMMAND only where a fence is on record. */
export async function fenceState(target: RedisTarget, repository: Repository, instance: string): Promise<FenceState> {
  const open = await findOpenFences(repository, instance);
  const server = await withRedis(target, async (redis) => ({
    users: await readUsers(redis, target),
    commands: await readCommands(redis),
  })).catch(() => undefined);

  const fences = open.map((fence): FenceOnRecord => {
    const { fenceId, owner, fencedAt, ownUser } = fence.record;
    const said = { fenceId, owner, fencedAt, ownUser, ending: fence.ending };
    if (!server) return { ...said, users: fence.record.users.length, inForce: 'unknown', writers: [] };
    const concerned = new Set(rulesToGiveBack(fence, server.commands).keys());
    const writers = writersOf(server.users, fence, server.commands).map(({ name }) => name);
    const free = writers.filter((name) => concerned.has(name));
    const present = server.users.filter(({ name }) => concerned.has(name)).length;
    const own = server.users.some(({ name }) => name === ownUser);
    return {
      ...said,
      users: concerned.size,
      inForce: writers.length === 0 && own ? 'yes' : free.length === present && !own ? 'no' : 'partly',
      writers: writers.slice(0, 20),
    };
  });
  const owned = new Set(fences.map(({ ownUser }) => ownUser));
  const strays = (server?.users ?? [])
    .map(({ name }) => name)
    .filter((name) => OWN_USER.test(name) && !owned.has(name));
  return { fences, strays };
}
