import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import type { SentinelGroup } from '../../redis/sentinel.ts';
import { connectSentinel } from './ask-sentinels.ts';
import { wordsOf } from './ask-server.ts';
import { type CopiesSurvey, primaryItself, type ServerCopy } from './copies.ts';
import { type Repointed, repointReplicas } from './repoint-replicas.ts';
import { stopFollowing } from './stop-following.ts';
import { askLimits, type CopiesAsked, surveyCopies } from './survey-copies.ts';
import { type ActOptions, assertNoOtherPrimary, worldChanged } from './world.ts';

export interface PromoteOptions extends ActOptions {
  /** The replica as the plan saw it: another process at the address is another server. */
  readonly runId?: string;
  /** The other replicas follow the promoted one, as the choice at the gate says: false leaves them at the dead node. */
  readonly repoint?: boolean;
}

export interface Promotion {
  /** Who is the primary now; Sentinels choose among the replicas by themselves. */
  readonly address: string;
  readonly by: 'replicaof' | 'sentinel';
  /** It was the primary already when this began. */
  readonly alreadyDone: boolean;
  readonly keys: number;
  readonly replication: { readonly id: string; readonly offset: number };
  readonly repointed: readonly Repointed[];
}

const PROMOTION_MS = 60_000;

/**
 * Makes a replica the primary: by the Sentinels where some answer (they would undo what is done behind their back), else
 * by `REPLICAOF NO ONE`. The copies are asked again right before. Done twice it is done once.
 *
 * @throws CRASH_WORLD_CHANGED, CRASH_PROMOTION_REFUSED, REDIS_*
 */
export async function promoteReplica(
  asked: CopiesAsked,
  address: string,
  options: PromoteOptions,
  io: StepIO,
): Promise<Promotion> {
  const survey = await surveyCopies(asked, io, options.limits);
  const copy = survey.servers.find((each) => each.address === address);
  const sentinels = survey.sentinels?.answers.length ? asked.sentinel : undefined;
  // What an earlier attempt, or the Sentinels meanwhile, did is what was wanted.
  const done = sentinels ? promotedBySentinels(survey) : copy?.role === 'primary' ? copy : undefined;
  assertNoOtherPrimary(survey, [...(options.knownPrimaries ?? []), ...(done ? [done.address] : [])]);
  if (done && !sentinels) assertPrimaryIsDown(survey);
  if (!done) assertPromotable(survey, copy, address, options.runId);
  const promoted =
    done ?? (sentinels ? await failOver(asked, sentinels, options, io) : await stopFollowing(asked, address, options));
  return {
    address: promoted.address,
    by: sentinels ? 'sentinel' : 'replicaof',
    alreadyDone: done !== undefined,
    keys: promoted.keys,
    replication: promoted.replication,
    repointed:
      options.repoint !== false && !sentinels
        ? await repointReplicas(asked, promoted.address, { ...options, timeoutMs: undefined }, io)
        : [],
  };
}

function promotedBySentinels(survey: CopiesSurvey): ServerCopy | undefined {
  const { sentinels } = survey;
  if (!sentinels?.promoted) return undefined;
  return survey.servers.find(({ address, role }) => address === sentinels.primary && role === 'primary');
}

/** Sentinels make a primary that comes back a replica by themselves; without them it is a second primary. */
function assertPrimaryIsDown(survey: CopiesSurvey): void {
  const running = primaryItself(survey);
  if (running?.role === 'primary')
    throw worldChanged(`The primary ${running.address} answers again, with ${running.keys} keys.`);
  const itself = survey.silent.find(({ foundBy }) => foundBy === 'configured-primary');
  if (itself && itself.code !== 'REDIS_UNREACHABLE')
    throw worldChanged(`The primary ${itself.address} runs: ${itself.reason}.`);
}

function assertPromotable(survey: CopiesSurvey, copy: ServerCopy | undefined, address: string, runId?: string): void {
  assertPrimaryIsDown(survey);
  if (!copy) throw worldChanged(`${address} does not answer any more.`);
  if (runId !== undefined && copy.runId !== runId)
    throw worldChanged(`${address} was restarted since the plan was made.`);
  if (copy.follows?.synchronizing) throw worldChanged(`${address} is being synchronized: its data is not whole.`);
  if (copy.keys === 0) throw worldChanged(`${address} holds no keys any more.`);
}

/** Asks the Sentinel with the latest view to fail over, and waits until the new primary answers as one. */
async function failOver(
  asked: CopiesAsked,
  group: SentinelGroup,
  options: ActOptions,
  io: StepIO,
): Promise<ServerCopy> {
  const timeoutMs = options.timeoutMs ?? PROMOTION_MS;
  const deadline = Date.now() + timeoutMs;
  let words = '';
  while (Date.now() < deadline) {
    io.signal.throwIfAborted();
    const survey = await surveyCopies(asked, io, options.limits);
    const promoted = promotedBySentinels(survey);
    if (promoted) return promoted;
    const best = [...(survey.sentinels?.answers ?? [])].sort((a, b) => b.epoch - a.epoch)[0];
    if (best && !best.failover && !survey.sentinels?.promoted) words = await askFailover(group, best.address, options);
    io.onProgress({ phase: 'failover', note: words || 'the Sentinels are promoting a replica' });
    await new Promise((settle) => setTimeout(settle, 500));
  }
  throw new RewindError(
    'CRASH_PROMOTION_REFUSED',
    `The Sentinels have not made a replica the primary within ${timeoutMs / 1000} s${words ? `: ${words}` : ''}.`,
  );
}

/** @returns why not, in the Sentinel's words; empty where it began or has begun already */
async function askFailover(group: SentinelGroup, address: string, options: ActOptions): Promise<string> {
  let redis: Redis | undefined;
  try {
    redis = await connectSentinel(group, address, options.limits ?? askLimits);
    await redis.call('SENTINEL', 'FAILOVER', group.master);
    return '';
  } catch (error) {
    const words = wordsOf(error);
    return words.includes('INPROG') ? '' : words;
  } finally {
    redis?.disconnect();
  }
}
