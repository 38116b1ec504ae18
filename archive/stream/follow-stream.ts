import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkIdentity } from '../../backup/identity-check.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { takeTicket } from '../../process/ticket-lock.ts';
import type { RedisTarget } from '../../redis/connection.ts';
import { atPrimary, findPrimary } from '../../redis/sentinel.ts';
import { readIdentity } from '../../repository/identity.ts';
import { type FollowFigures, type FollowIO, type FollowOptions, followDefaults } from '../follow/follow-options.ts';
import { PatientStore } from '../follow/patient-store.ts';
import { replicationIdsOf } from '../follow/questions.ts';
import { Telling } from '../follow/telling.ts';
import { readTip } from '../follow/tip.ts';
import { type BaseRules, baseRules } from './fresh-base.ts';
import { PrimaryWatch } from './primary-watch.ts';
import type { StreamSession } from './stream-course.ts';
import { StreamFollower } from './stream-follower.ts';
import { placeAtTip } from './stream-place.ts';
import { StreamReceiver } from './stream-receiver.ts';
import { StreamSpool } from './stream-spool.ts';

/** A link that nobody takes up is kept so long: the next step of a run comes within seconds. */
const keptMs = 60_000;

interface Held extends StreamSession {
  end(): Promise<void>;
}

/** Links that wait in this process for the next step, by their folder. */
const kept = new Map<string, { session: Held; timer: NodeJS.Timeout }>();

export interface StreamIO extends FollowIO {
  /** Asked at its end: whether somebody goes on in this process soon, so that the link stays up. */
  readonly staysUp?: () => boolean;
}

/**
 * Archives what the server of an instance sends to its replicas, until the signal; then it ships what has come and returns.
 * It needs nothing beside Redis, and no append-only file.
 *
 * @throws ARCHIVE_FOLLOWED, ARCHIVE_TAKEN_OVER, ARCHIVE_FOREIGN, IDENTITY_REFUSED, REDIS_REFUSED_LOGIN,
 *   REDIS_REPLICATION_FORBIDDEN, ARCHIVE_RECORD_INVALID, ARCHIVE_SEGMENT_DAMAGED, AOF_CORRUPT; no error of a store ends it
 */
export async function followStream(
  context: InstanceContext,
  io: StreamIO,
  { bases, ...options }: Partial<FollowOptions> & { bases?: Partial<BaseRules> } = {},
): Promise<FollowFigures> {
  const all = { ...followDefaults, ...options };
  const telling = new Telling(io.onFigures);
  const store = new PatientStore({ io, options: all, tailOnly: false }, telling, () => false);
  const folder = join(context.home, 'archive', 'stream', context.policy.instance);
  let session: Held | undefined;
  let stays = false;
  try {
    session = takeKept(folder) ?? (await openSession(context, folder, all, { io, store, telling }));
    const follower = new StreamFollower(context, io, all, {
      ...{ session, telling, store, rules: { ...baseRules, ...bases } },
    });
    await follower.run();
    stays = io.staysUp?.() ?? false;
    return follower.figures;
  } catch (error) {
    // What is torn on the disk is asked for again from the end of what is stored.
    if (error instanceof RewindError && error.code === 'AOF_CORRUPT') await session?.spool.clear();
    if (!io.signal.aborted) throw error;
    return telling.figures;
  } finally {
    if (session && stays) keep(folder, session);
    else await session?.end();
  }
}

/** Before the process ends. */
export async function endKeptStreams(): Promise<void> {
  const sessions = [...kept.keys()].map((folder) => takeKept(folder)!);
  await Promise.all(sessions.map((session) => session.end()));
}

function takeKept(folder: string): Held | undefined {
  const found = kept.get(folder);
  if (!found) return undefined;
  kept.delete(folder);
  clearTimeout(found.timer);
  return found.session;
}

function keep(folder: string, session: Held): void {
  const timer = setTimeout(() => {
    kept.delete(folder);
    session.end().catch(() => undefined);
  }, keptMs);
  kept.set(folder, { session, timer });
}

async function openSession(
  context: InstanceContext,
  folder: string,
  options: FollowOptions,
  { io, store, telling }: { io: FollowIO; store: PatientStore; telling: Telling },
): Promise<Held> {
  const { repository, policy } = context;
  const lock = await lockFolder(folder);
  let receiver: StreamReceiver | undefined;
  const watch = new PrimaryWatch({
    now: options.now,
    clockStepMs: options.clockStepMs,
    redialMs: options.rivalMs,
    onClockStep: (fromMs, toMs) => receiver?.clockStepped(fromMs, toMs),
  });
  try {
    const locate = locator(context);
    const identity = await whose(context, { watch, locate, options, io, store, telling });
    const tip = await store.until(() => readTip(repository, policy.instance, identity));
    const resumeAt = tip && (await store.until(() => placeAtTip(repository, policy.instance, tip)));
    const spool = await StreamSpool.open(folder, resumeAt);
    receiver = new StreamReceiver({ spool, watch, locate, resumeAt, options });
    const ended = new AbortController();
    const receiving = receiver.run(ended.signal);
    return {
      ...{ identity, spool, receiver, locate, now: () => watch.now() },
      end: async () => {
        ended.abort();
        await receiving;
        await spool.close();
        lock.release();
      },
    };
  } catch (error) {
    watch.close();
    lock.release();
    throw error;
  }
}

/**
 * Two servers never mix in one archive. A server that does not answer is waited for, but where an instance is known already
 * what came before it went is shipped without it.
 */
async function whose(
  context: InstanceContext,
  {
    watch,
    locate,
    options,
    io,
    store,
    telling,
  }: {
    watch: PrimaryWatch;
    locate: () => Promise<RedisTarget>;
    options: FollowOptions;
    io: FollowIO;
    store: PatientStore;
    telling: Telling;
  },
): Promise<string> {
  for (;;) {
    const target = await locate().catch(() => undefined);
    const signs = target && (await watch.ask(target));
    if (signs) return store.until(() => checkIdentity({ ...context, target }, replicationIdsOf(signs)));
    const recorded = await store.until(() => readIdentity(context.repository, context.policy.instance));
    if (recorded) return recorded.id;
    telling.say('waiting', 'Redis does not answer, and its instance is not known yet');
    await sleep(options.askMs, undefined, { signal: io.signal });
  }
}

/** Where the primary is now: Sentinels are asked again after each failover. */
function locator({ target, sentinel, policy }: InstanceContext): () => Promise<RedisTarget> {
  if (!sentinel || policy.topology.from === 'replica') return async () => target;
  return async () => atPrimary(target, await findPrimary(await sentinel()));
}

/** Of two processes with one home one archives. @throws ARCHIVE_FOLLOWED */
async function lockFolder(folder: string): Promise<{ release(): void }> {
  const tickets = join(folder, 'lock');
  mkdirSync(tickets, { recursive: true, mode: 0o700 });
  for (let attempt = 1; ; attempt++) {
    const ticket = takeTicket(tickets);
    if ('release' in ticket) return ticket;
    if (attempt === 10) {
      throw new RewindError('ARCHIVE_FOLLOWED', `Process ${ticket.holder.pid} archives this instance already.`, {
        details: { pid: ticket.holder.pid },
      });
    }
    await sleep(20 + Math.random() * 60);
  }
}
