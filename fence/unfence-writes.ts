import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO } from '../process/step-io.ts';
import { type RedisTarget, withRedis } from '../redis/connection.ts';
import { redisTimeMs } from '../redis/info.ts';
import type { Repository } from '../repository/repository.ts';
import { type AclRule, commandTokens, formatAclLine, sameRule, selectorText } from './acl-rule.ts';
import { type AclCommand, readCommands } from './command-table.ts';
import {
  assertFenceId,
  beginEnding,
  closeFence,
  findOpenFences,
  hasBegunToEnd,
  type OpenFence,
} from './fence-record.ts';
import { readRunId } from './fence-writes.ts';
import { rulesToGiveBack, withCommandsOf } from './known-rules.ts';
import { connectAsOwn, forgetSecret, type OwnUser } from './own-user.ts';
import { saveUsersWhereSaved } from './saved-users.ts';
import { readUsers, setUsers, type UserChange } from './users.ts';
import { canWrite, writeRights } from './write-rights.ts';

export interface UnfenceReport {
  readonly fenceId: string;
  /** Users that have the rights from before again by this call. */
  readonly restored: readonly string[];
  /** That had them already: Redis was restarted, or an earlier attempt gave them back. */
  readonly asBefore: readonly string[];
  /** Deleted by somebody during the fence, and left so. */
  readonly gone: readonly string[];
  /** Changed by somebody during the fence (a password, keys, channels, on or off): that was kept, the commands are those from before. */
  readonly changed: readonly string[];
  /** Whether Redis was restarted since the fence was last put in force. */
  readonly restarted: boolean;
  /** From the record to the end, by the server's clock. */
  readonly fencedMs: number;
  /** What else a person should know, in sentences. */
  readonly notes: readonly string[];
}

/** Which fence to undo. */
export interface UnfenceOrder {
  readonly repository: Repository;
  readonly instance: string;
  /** Without it, the one that is open. */
  readonly fenceId?: string;
  readonly home: string;
}

/**
 * Gives every user back what the fence took, exactly: ACL LIST is as before, token by token, but for what others
 * changed meanwhile. The own user goes last. Killed anywhere, the same call ends it; done twice, it changes nothing.
 *
 * @returns undefined where there is nothing to undo: it was undone before
 * @throws FENCE_UNKNOWN, FENCE_NOT_UNDONE, FENCE_RECORD_INVALID, FENCE_NOT_POSSIBLE where the login may not change users
 */
export async function unfenceWrites(
  target: RedisTarget,
  order: UnfenceOrder,
  io: StepIO,
): Promise<UnfenceReport | undefined> {
  const fence = await fenceToUndo(order);
  if (!fence) return undefined;
  const { repository, home } = order;
  const { instance, fenceId, ownUser } = fence.record;
  const own: OwnUser = { instance, fenceId, home };
  return withRedis(target, async (login) => {
    const now = async () => new Date(await redisTimeMs(login)).toISOString();
    await beginEnding(repository, fence.record, await now());
    io.onProgress({ phase: 'ending' });
    // Who watches fences on connections of the own user only, and looks at the record on each new one.
    await endConnectionsOf(login, target, own, ownUser);
    const undone = await giveBack(login, target, fence, own);
    io.onProgress({ phase: 'given-back' });
    await removeOwnUser(login, target, own, ownUser);
    io.onProgress({ phase: 'own-user-removed' });
    const notes = [...undone.notes, ...(await saveUsersWhereSaved(login, target, ownUser))];
    io.onProgress({ phase: 'saved' });
    await forgetSecret(own);
    const endedAt = await now();
    await closeFence(repository, fence.record, endedAt);
    io.onProgress({ phase: 'closed' });
    return { fenceId, ...undone, fencedMs: Date.parse(endedAt) - Date.parse(fence.record.fencedAt), notes };
  });
}

async function fenceToUndo({ repository, instance, fenceId }: UnfenceOrder): Promise<OpenFence | undefined> {
  if (fenceId !== undefined) assertFenceId(fenceId);
  const open = await findOpenFences(repository, instance);
  const fence = fenceId === undefined ? open[0] : open.find(({ record }) => record.fenceId === fenceId);
  if (fence || fenceId === undefined || (await hasBegunToEnd(repository, instance, fenceId))) return fence;
  throw new RewindError('FENCE_UNKNOWN', `${instance} has no fence ${fenceId}.`);
}

async function giveBack(
  login: Redis,
  target: RedisTarget,
  fence: OpenFence,
  own: OwnUser,
): Promise<Omit<UnfenceReport, 'fenceId' | 'fencedMs'>> {
  const commands = await commandsOf(login, target, own);
  const before = rulesToGiveBack(fence, commands);
  const runId = await readRunId(login);
  const restarted = runId !== fence.runId;
  const users = new Map((await readUsers(login, target)).map((user) => [user.name, user]));
  const plan = [...before].map(([name, rule]) => planFor(users.get(name), rule, restarted, commands));
  const named = (what: Planned['what']) => plan.flatMap((each) => (each.what === what ? [each.wanted.name] : []));

  const wanted = plan.filter(({ what }) => what === 'restore').map((each) => each.wanted);
  await setUsers(login, target, wanted.map(asChange));
  await assertGivenBack(login, target, wanted);

  const changed = plan.filter(
    ({ wanted: rule, what }) => what !== 'gone' && !sameRule(rule, before.get(rule.name) as AclRule),
  );
  return {
    restored: named('restore'),
    asBefore: named('as-before'),
    gone: named('gone'),
    changed: changed.map((each) => each.wanted.name),
    restarted,
    notes: restarted
      ? [
          'Redis was restarted since the fence was put in force: users that it started with their own rights were left alone.',
        ]
      : [],
  };
}

interface Planned {
  readonly wanted: AclRule;
  readonly what: 'restore' | 'as-before' | 'gone';
}

function planFor(
  now: AclRule | undefined,
  before: AclRule,
  restarted: boolean,
  commands: readonly AclCommand[],
): Planned {
  if (!now) return { wanted: before, what: 'gone' };
  const wanted = withCommandsOf(now, before);
  if (sameRule(now, wanted)) return { wanted, what: 'as-before' };
  // After a restart a user that may write has rights that nobody here took or may judge.
  if (restarted && canWrite(writeRights(now, commands))) return { wanted: now, what: 'as-before' };
  return { wanted, what: 'restore' };
}

/**
 * Not by `reset`: on Redis 6.2 and 7.0 it leaves `sanitize-payload` behind, which nothing takes away again. `+@all` or
 * `-@all`, with which the commands of every rule begin, forgets all that was said of commands before.
 */
const asChange = ({ name, tokens, selectors }: AclRule): UserChange => ({
  name,
  rules: [
    '-@all',
    ...commandTokens(tokens),
    ...(selectors.length > 0 ? ['clearselectors'] : []),
    ...selectors.map(selectorText),
  ],
});

async function assertGivenBack(login: Redis, target: RedisTarget, wanted: readonly AclRule[]): Promise<void> {
  const now = new Map((await readUsers(login, target)).map((user) => [user.name, formatAclLine(user)]));
  const wrong = wanted.filter((rule) => now.has(rule.name) && now.get(rule.name) !== formatAclLine(rule));
  if (wrong.length === 0) return;
  const who = wrong
    .slice(0, 5)
    .map(({ name }) => name)
    .join(', ');
  throw new RewindError(
    'FENCE_NOT_UNDONE',
    `After their rights were given back, the rules of ${who} are not as before the fence.`,
  );
}

/** The login of the configuration may be one that cannot ask; then the own user does. */
async function commandsOf(login: Redis, target: RedisTarget, own: OwnUser): Promise<AclCommand[]> {
  try {
    return await readCommands(login);
  } catch (error) {
    if (!/^NOPERM/.test(String((error as Error).message))) throw error;
  }
  const redis = await connectAsOwn(login, target, own);
  try {
    return await readCommands(redis);
  } finally {
    redis.disconnect();
  }
}

/** By the own user itself where the login of the configuration has no CLIENT KILL. */
async function endConnectionsOf(login: Redis, target: RedisTarget, own: OwnUser, name: string): Promise<void> {
  const failed = await login.call('CLIENT', 'KILL', 'USER', name).then(
    () => '',
    (error) => String(error?.message),
  );
  if (!/^NOPERM/.test(failed) || !(await isThere(login, target, name))) return;
  const redis = await connectAsOwn(login, target, own);
  await redis.call('CLIENT', 'KILL', 'USER', name, 'SKIPME', 'yes').finally(() => redis.disconnect());
}

/**
 * Redis ends its connections with it. Whoever was about to fence at this moment may make it once more, and then sees that
 * the fence is being undone.
 */
async function removeOwnUser(login: Redis, target: RedisTarget, own: OwnUser, name: string): Promise<void> {
  for (let attempt = 1; attempt <= removals; attempt += 1) {
    await removeOnce(login, target, own, name);
    if (!(await isThere(login, target, name))) return;
    await sleep(20);
  }
  throw new RewindError('FENCE_NOT_UNDONE', `The user ${name}, made for the fence, could not be removed.`);
}

const removals = 25;

async function removeOnce(login: Redis, target: RedisTarget, own: OwnUser, name: string): Promise<void> {
  const remove = (redis: Redis) => redis.call('ACL', 'DELUSER', name);
  const failed = await remove(login).then(
    () => '',
    (error) => String(error?.message),
  );
  if (!/^NOPERM/.test(failed) || !(await isThere(login, target, name))) return;
  const redis = await connectAsOwn(login, target, own);
  // Deleting itself ends the connection, perhaps before the answer.
  await remove(redis).catch(() => undefined);
  redis.disconnect();
}

async function isThere(login: Redis, target: RedisTarget, name: string): Promise<boolean> {
  return (await readUsers(login, target)).some((user) => user.name === name);
}
