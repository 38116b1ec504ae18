import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import type { RedisTarget } from '../redis/connection.ts';
import { redisTimeMs } from '../redis/info.ts';
import type { Repository } from '../repository/repository.ts';
import { type AclRule, formatAclLine, sameRule } from './acl-rule.ts';
import { endHeldWrites } from './clients.ts';
import type { AclCommand } from './command-table.ts';
import { type AddedUser, addFenced, addRun, hasBegunToEnd, type OpenFence } from './fence-record.ts';
import { rulesToGiveBack } from './known-rules.ts';
import { readUsers, setUsers } from './users.ts';
import { canWrite, fencingRules, type WriteRights, writeRights } from './write-rights.ts';

/** What a step that fences has in its hands. */
export interface FenceHands {
  /** As the own user: every change is made on a connection that the undoing ends before it begins. */
  readonly redis: Redis;
  readonly target: RedisTarget;
  readonly repository: Repository;
  readonly commands: readonly AclCommand[];
  readonly runId: string;
}

export interface FencedUser {
  readonly name: string;
  readonly rights: WriteRights;
}

/** Who gives rights back while they are taken away is met this often. */
const ROUNDS = 5;

/**
 * Takes writing from every user but the own one that has it now; nothing is done to the others. Whoever is not in the
 * record as it is now is written down before it is changed.
 *
 * @returns the fence with what was added to it, and who was fenced by this call
 * @throws FENCE_ENDED, FENCE_NOT_IN_FORCE
 */
export async function bringIntoForce(
  hands: FenceHands,
  fence: OpenFence,
): Promise<{ fence: OpenFence; fenced: FencedUser[] }> {
  const { redis, target, commands } = hands;
  const fenced = new Map<string, FencedUser>();
  let known = fence;
  for (let round = 1; ; round += 1) {
    const writers = writersOf(await readUsers(redis, target), known, commands);
    if (writers.length === 0 && known.runId === hands.runId) break;
    if (round > ROUNDS) {
      throw new RewindError('FENCE_NOT_IN_FORCE', `${named(writers)} may write again right after it was fenced.`);
    }
    known = await writeDown(hands, known, writers);
    // Asked last: what is fenced after the undoing has begun would stay so.
    await assertNotEnding(hands, known);
    const changes = writers.map((rule) => ({ name: rule.name, rules: fencingRules(rule, commands) }));
    await setUsers(redis, target, changes, { atOnce: true });
    for (const rule of writers) {
      const { name } = rule;
      fenced.set(name, { name, rights: fenced.get(name)?.rights ?? writeRights(rule, commands) });
    }
  }
  return { fence: known, fenced: [...fenced.values()] };
}

/** Ends what the users of this fence began before it. @returns how many connections */
export function endWritesOf({ redis, commands }: FenceHands, fence: OpenFence): Promise<number> {
  return endHeldWrites(redis, new Set(rulesToGiveBack(fence, commands).keys()), commands);
}

/** Who may write, but for the own user. */
export function writersOf(users: readonly AclRule[], fence: OpenFence, commands: readonly AclCommand[]): AclRule[] {
  return users.filter((user) => user.name !== fence.record.ownUser && canWrite(writeRights(user, commands)));
}

/** @throws FENCE_ENDED */
export async function assertNotEnding({ repository }: Pick<FenceHands, 'repository'>, { record }: OpenFence) {
  if (await hasBegunToEnd(repository, record.instance, record.fenceId)) {
    throw new RewindError('FENCE_ENDED', `The fence ${record.fenceId} of ${record.instance} is being undone.`);
  }
}

async function writeDown(hands: FenceHands, fence: OpenFence, writers: readonly AclRule[]): Promise<OpenFence> {
  const { repository, commands, runId, redis } = hands;
  const known = rulesToGiveBack(fence, commands);
  const recorded = new Map(fence.record.users.map(({ name, rule }) => [name, rule]));
  const why = (user: AclRule): AddedUser['why'] | undefined => {
    const before = known.get(user.name);
    if (!before) return recorded.has(user.name) ? 'changed' : 'new';
    if (sameRule(user, before)) return undefined;
    return runId === fence.runId ? 'changed' : 'restarted';
  };
  const { instance, fenceId } = fence.record;
  const seenAt = new Date(await redisTimeMs(redis)).toISOString();
  const added = writers.flatMap((user): AddedUser[] => {
    const reason = why(user);
    const { name } = user;
    const rule = formatAclLine(user);
    return reason ? [{ formatVersion: 1, instance, fenceId, name, rule, why: reason, seenAt, runId }] : [];
  });
  await Promise.all(added.map((user) => addFenced(repository, user)));
  // Last: cut off before it, the next attempt still knows why these users are as they are.
  if (runId !== fence.runId) await addRun(repository, fence.record, runId, seenAt);
  return { ...fence, added: [...fence.added, ...added], runId };
}

const named = (users: readonly AclRule[]): string =>
  users
    .slice(0, 5)
    .map(({ name }) => name)
    .join(', ');
