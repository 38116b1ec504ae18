import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO } from '../process/step-io.ts';
import { addressOf, type RedisTarget, withRedis } from '../redis/connection.ts';
import { readInfo, redisTimeMs } from '../redis/info.ts';
import type { Repository } from '../repository/repository.ts';
import { unlessTaken } from '../repository/unless-taken.ts';
import { formatAclLine } from './acl-rule.ts';
import { bringIntoForce, endWritesOf, type FencedUser, writersOf } from './bring-into-force.ts';
import { readCommands } from './command-table.ts';
import { connectToFence } from './connect-to-fence.ts';
import {
  assertFenceId,
  closeFence,
  type FenceRecord,
  findOpenFences,
  hasBegunToEnd,
  type OpenFence,
  openFence,
  ownUserOf,
} from './fence-record.ts';
import { writersByDryRun } from './proof.ts';
import { refusalOf } from './refusal.ts';
import { readUsers } from './users.ts';

/** Which fence, and where it is written down. */
export interface FenceOrder {
  readonly repository: Repository;
  readonly instance: string;
  /** Chosen by the caller; the same one continues the same fence. */
  readonly fenceId: string;
  readonly owner?: FenceRecord['owner'];
  /** Folder of this role, 0700: it keeps the own user's password. */
  readonly home: string;
}

export interface FenceReport {
  readonly fenceId: string;
  /** Whom this call took writing from; those who had none are not named. */
  readonly users: readonly { readonly name: string; readonly selectors: number; readonly hadWrite: boolean }[];
  /** Connections that were ended because they waited to write, or had queued it. */
  readonly blockedClientsKilled: number;
  /** From the call until no user could write. */
  readonly inForceAfterMs: number;
  readonly tookMs: number;
  readonly ownUser: string;
  /** By the server's clock, when the record was made. */
  readonly fencedAt: string;
  /** `rules`: Redis before 7.0 cannot be asked, and its rules were read instead. */
  readonly provenBy: 'dry-run' | 'rules';
}

/**
 * Takes writing from every user, so that nothing changes while data is put back; reading goes on. Killed anywhere, the
 * same call ends it. The rules from before are in the repository before the first user is changed.
 *
 * @throws FENCE_NOT_POSSIBLE, FENCE_ALREADY_OPEN, FENCE_ENDED, FENCE_NOT_IN_FORCE, FENCE_RECORD_INVALID
 */
export async function fenceWrites(target: RedisTarget, order: FenceOrder, io: StepIO): Promise<FenceReport> {
  const began = performance.now();
  assertFenceId(order.fenceId);
  return withRedis(target, async (login) => {
    const fence = await recordedFence(login, target, order, io);
    io.signal.throwIfAborted();
    const redis = await connectToFence(login, target, order, fence);
    try {
      io.onProgress({ phase: 'own-user' });
      const commands = await readCommands(redis);
      const runId = await readRunId(redis);
      const { repository } = order;
      const hands = { redis, target, repository, commands, runId };
      const done = await bringIntoForce(hands, fence);
      io.onProgress({ phase: 'rights-taken' });
      const blockedClientsKilled = await endWritesOf(hands, done.fence);
      const inForceAfterMs = Math.round(performance.now() - began);
      io.onProgress({ phase: 'in-force' });
      const provenBy = await prove(redis, target, done.fence);
      io.onProgress({ phase: 'proven' });
      return {
        fenceId: order.fenceId,
        users: done.fenced.map(reported),
        blockedClientsKilled,
        inForceAfterMs,
        tookMs: Math.round(performance.now() - began),
        ownUser: fence.record.ownUser,
        fencedAt: fence.record.fencedAt,
        provenBy,
      };
    } finally {
      redis.disconnect();
    }
  });
}

/** The record of this fence, made where there is none. */
async function recordedFence(login: Redis, target: RedisTarget, order: FenceOrder, io: StepIO): Promise<OpenFence> {
  const { repository, instance, fenceId } = order;
  const [open, ended] = await Promise.all([
    findOpenFences(repository, instance),
    hasBegunToEnd(repository, instance, fenceId),
  ]);
  if (ended)
    throw new RewindError('FENCE_ENDED', `The fence ${fenceId} of ${instance} was undone, or is being undone.`);
  assertNoOther(open, fenceId);
  const own = open[0];
  if (own) return own;

  await assertMayChangeUsers(login, target);
  const record: FenceRecord = {
    formatVersion: 1,
    instance,
    fenceId,
    owner: order.owner ?? {},
    fencedAt: new Date(await asked(target, 'time', () => redisTimeMs(login))).toISOString(),
    runId: await asked(target, 'info', () => readRunId(login)),
    users: (await readUsers(login, target)).map((rule) => ({ name: rule.name, rule: formatAclLine(rule) })),
    ownUser: ownUserOf(instance, fenceId),
    aclFile: await usesAclFile(login),
  };
  io.signal.throwIfAborted();
  // Where another attempt at the same fence was first, its record is the one that counts.
  await unlessTaken(() => openFence(repository, record));
  io.onProgress({ phase: 'recorded' });
  // Read back: of two that began at once, neither may take the other's fenced rules for those from before.
  const now = await findOpenFences(repository, instance);
  if (now.some((each) => each.record.fenceId !== fenceId)) await closeFence(repository, record, record.fencedAt);
  assertNoOther(now, fenceId);
  return now[0] ?? fail(`The record of the fence ${fenceId} of ${instance} is not there after it was stored.`);
}

function assertNoOther(open: readonly OpenFence[], fenceId: string): void {
  const other = open.find(({ record }) => record.fenceId !== fenceId)?.record;
  if (!other) return;
  const by = other.owner.workflowId ? `, of ${other.owner.workflowId}` : '';
  const said = `${other.instance} has an open fence since ${other.fencedAt}: ${other.fenceId}${by}.`;
  throw new RewindError('FENCE_ALREADY_OPEN', said);
}

function fail(message: string): never {
  throw new RewindError('FENCE_NOT_IN_FORCE', message);
}

/** A name with a space is refused by every version, after the rights were looked at. */
async function assertMayChangeUsers(login: Redis, target: RedisTarget): Promise<void> {
  await login.call('ACL', 'SETUSER', 'no such user').catch((error) => {
    if (!/^ERR .*(spaces|contain)/i.test(String(error?.message))) throw refusalOf(target, 'acl|setuser', error);
  });
}

/** @returns how it was proven @throws FENCE_NOT_IN_FORCE */
async function prove(redis: Redis, target: RedisTarget, fence: OpenFence): Promise<FenceReport['provenBy']> {
  // Read anew: a module that was loaded meanwhile brings commands.
  const commands = await readCommands(redis);
  const users = await readUsers(redis, target);
  const others = users.filter(({ name }) => name !== fence.record.ownUser);
  const byDryRun = await writersByDryRun(redis, others, commands);
  const writers = byDryRun ?? writersOf(users, fence, commands).map(({ name }) => name);
  if (writers.length > 0) {
    const who = writers.slice(0, 5).join(', ');
    throw new RewindError('FENCE_NOT_IN_FORCE', `Redis at ${addressOf(target)} still lets ${who} write.`);
  }
  return byDryRun ? 'dry-run' : 'rules';
}

export async function readRunId(redis: Redis): Promise<string> {
  return (await readInfo(redis, 'server')).run_id ?? '';
}

async function usesAclFile(redis: Redis): Promise<boolean> {
  const reply = (await redis.call('CONFIG', 'GET', 'aclfile').catch(() => [])) as string[];
  return (reply[1] ?? '') !== '';
}

async function asked<T>(target: RedisTarget, right: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw refusalOf(target, right, error);
  }
}

function reported({ name, rights }: FencedUser): FenceReport['users'][number] {
  return { name, selectors: rights.selectors, hadWrite: rights.root };
}
