import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { connectRedis } from '../../redis/connection.ts';
import { readIdentity } from '../../repository/identity.ts';
import { rememberedPlace } from '../follow/aof-place.ts';
import type { FollowFigures, FoundDestructive } from '../follow/follow-options.ts';
import { endOf } from '../read/end-of-timeline.ts';
import { readTimeline } from '../read/records.ts';
import { viewArchive } from '../read/timelines.ts';
import { listenForFlushes } from './flush-listener.ts';
import {
  isFlushdb,
  judgeLoss,
  type LossFound,
  type LossLimits,
  lossOfFlush,
  outOfService,
  type SeenSample,
  unexplainedBetween,
} from './judge-loss.ts';
import { pinMoment } from './loss-record.ts';
import { type LossState, type NoticedLoss, readLossState, writeLossState } from './loss-state.ts';
import { ownChangeAt } from './own-change.ts';
import { keysOfSample, type ServerSample, sampleOf, sampleSections } from './server-sample.ts';
import type { GoodMoment, ToldLoss } from './told-loss.ts';

export interface LossHooks {
  /** Tells whoever acts on it. Called again until it succeeds: told twice has to be once. */
  readonly tell: (loss: ToldLoss) => Promise<void>;
  /** Who puts other files under the server at this moment, a runbook: then it is no loss. */
  readonly changedBy?: () => Promise<string | undefined>;
  /** The last good moment is pinned. */
  readonly onPinned?: (good: GoodMoment) => void;
  /** Why something of it does not work now; nothing of it stops the follower. */
  readonly onTrouble?: (sentence: string) => void;
}

export interface WatchOptions extends LossLimits {
  /** Between two questions to Redis, in ms. */
  readonly askMs: number;
  /** What follows so soon after a loss is a part of it, in ms. */
  readonly togetherMs: number;
  /** So long the file is waited for to tell where it was, in ms. */
  readonly exactMs: number;
  /** Unix ms, by the clock of Redis' machine. */
  readonly now: () => number;
}

/** Between two states on the disk where nothing happened. */
const rememberMs = 5_000;
/** A sample of each such time is kept for as long as a dataset is watched for shrinking. */
const coarseMs = 30_000;
/** After which a FLUSHDB is taken out of a deployment's hands: its old data should be gone by then. */
const deploymentMs = 3_600_000;
/** One that was a replica for longer is looked at as if for the first time. */
const forgottenMs = 5 * 60_000;
/** What happened in a longer time without a look is told, and nothing is fenced for it. */
const lateMs = 10 * 60_000;
/** However often something is told, Redis is not asked more often than this allows. */
const leastMs = 20;
/** Without the store nobody can say whether it was the product itself; then it is told. */
const doubtMs = 10_000;
const retryMostMs = 10_000;
const mostFound = 64;

const isCommand = (kind: NoticedLoss['kind']): boolean => ['flush', 'swap', 'mass-delete'].includes(kind);

/**
 * Watches a server for losses by their effect, beside the follower of its file: one INFO a second, and a connection on
 * which the server tells of a flush. A loss is written down on this machine first, then it is told, and its last good moment
 * is pinned; killed anywhere between, the next watch goes on with that. Whatever fails here, the follower does not see it.
 */
export class LossWatch {
  readonly #context: InstanceContext;
  readonly #hooks: LossHooks;
  readonly #options: WatchOptions;
  #state!: LossState;
  #seen: SeenSample[] = [];
  #redis: Redis | undefined;
  #end: GoodMoment | undefined;
  #found: FoundDestructive[] = [];
  #flushTold = false;
  /** A FLUSHDB of which only the file can say what it took. */
  #undecided: { before: ServerSample; now: ServerSample; untilMs: number } | undefined;
  #look = Promise.withResolvers<void>();
  #act = Promise.withResolvers<void>();
  #replicaSinceMs: number | undefined;
  #writing: Promise<void> = Promise.resolve();
  #writtenAt = 0;

  constructor(context: InstanceContext, hooks: LossHooks, options: WatchOptions) {
    this.#context = context;
    this.#hooks = hooks;
    this.#options = options;
  }

  /** How far the follower is. */
  figures({ timeline, position, unshippedBytes }: FollowFigures): void {
    if (timeline > 0) this.#end = { timeline, position: position + unshippedBytes };
  }

  /** What the follower found in the file. */
  destructive(found: FoundDestructive): void {
    this.#found = [...this.#found, found].slice(-mostFound);
    this.#wake();
  }

  /** Until the signal. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      if (!(await this.#begin(signal))) return;
      await Promise.all([this.#looks(signal), this.#listens(signal), this.#acts(signal)]);
    } catch (error) {
      this.#trouble(error);
    } finally {
      this.#redis?.disconnect();
      await this.#remember(false).catch(() => undefined);
    }
  }

  async #begin(signal: AbortSignal): Promise<boolean> {
    const { home, policy, repository } = this.#context;
    while (!signal.aborted) {
      const known = await rememberedPlace(home, policy.instance);
      const identity = known?.identity ?? (await readIdentity(repository, policy.instance).catch(() => undefined))?.id;
      if (identity !== undefined) {
        const state = await readLossState(home, policy.instance, identity);
        this.#state = state ?? { formatVersion: 1, identity, swappedOut: {} };
        if (state?.sample) this.#seen = [{ ...state.sample, unexplained: 0, ...(state.end ? { end: state.end } : {}) }];
        return true;
      }
      await this.#pause(this.#options.askMs, signal);
    }
    return false;
  }

  // Looking.

  async #looks(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const answered = await this.#lookOnce().catch((error) => {
        this.#trouble(error);
        return true;
      });
      await this.#pause(leastMs, signal);
      const look = this.#look.promise;
      // One that comes back is looked at before it is written to.
      await Promise.race([look, this.#pause(answered ? this.#options.askMs : this.#options.askMs / 5, signal)]);
    }
  }

  /** @returns false where the server did not answer */
  async #lookOnce(): Promise<boolean> {
    this.#look = Promise.withResolvers();
    const end = this.#end;
    const flushTold = this.#flushTold;
    const sample = await this.#ask();
    if (!sample) return false;
    this.#flushTold = this.#flushTold && !flushTold;
    if (!sample.primary) {
      // What a replica has is its primary's to answer for; what went by itself there it does not count.
      this.#replicaSinceMs ??= sample.atMs;
      return true;
    }
    if (sample.atMs - (this.#replicaSinceMs ?? sample.atMs) > forgottenMs) this.#seen = [];
    this.#replicaSinceMs = undefined;
    const before = this.#seen.at(-1);
    const outside = before ? this.#outOfService(before, sample) : new Map<string, number>();
    const since = before ? unexplainedBetween(before, sample, outside) : 0;
    const now: SeenSample = {
      ...sample,
      unexplained: (before?.unexplained ?? 0) + since,
      ...(end ? { end } : {}),
    };
    this.#seen.push(now);
    const loss = this.#judge(flushTold, outside, before, now);
    this.#state.sample = sample;
    if (end) this.#state.end = end;
    await this.#lookAtTimeline(now);
    if (loss) {
      await this.#notice(loss, now);
      this.#seen = [now];
    } else this.#thin(now.atMs);
    if (now.atMs - this.#writtenAt > rememberMs) await this.#remember(false);
    return true;
  }

  /** What went of databases that deployments have put out of service, which is no loss. */
  #outOfService(before: SeenSample, now: ServerSample): Map<string, number> {
    const { swappedOut } = this.#state;
    for (const [database, atMs] of Object.entries(swappedOut)) {
      if (now.atMs - atMs > deploymentMs) delete swappedOut[database];
    }
    const outside = outOfService(before, now, new Set(Object.keys(swappedOut)), this.#options.shrunkTo);
    for (const database of outside.keys()) swappedOut[database] ??= now.atMs;
    return outside;
  }

  #judge(
    flushTold: boolean,
    swappedOut: ReadonlyMap<string, number>,
    before: SeenSample | undefined,
    now: SeenSample,
  ): LossFound | undefined {
    const massInFile = this.#found.some(
      (found) => /^(DEL|UNLINK)$/.test(found.command) && this.#isSince(found, before),
    );
    const about = { swappedOut, flushTold, massInFile };
    const loss = judgeLoss(this.#seen, about, this.#options) ?? this.#decided(now, swappedOut);
    if (before && !loss && isFlushdb(before, now)) {
      this.#undecided = { before, now, untilMs: now.atMs + this.#options.exactMs };
    }
    return loss;
  }

  /** What a FLUSHDB took that shows in no count any more: its database is written again, and the file says which it was. */
  #decided(now: SeenSample, swappedOut: ReadonlyMap<string, number>): LossFound | undefined {
    const open = this.#undecided;
    if (!open || now.atMs > open.untilMs) return undefined;
    const flushed = this.#found
      .filter(({ command, timeMs }) => command === 'FLUSHDB' && timeMs >= open.before.atMs - this.#options.askMs)
      .map(({ database }) => database);
    if (flushed.length === 0) return undefined;
    this.#undecided = undefined;
    const databases = [...new Set(flushed)].filter((database) => !swappedOut.has(String(database)));
    return lossOfFlush(open.before, now, databases, 'FLUSHDB');
  }

  /** A timeline that begins because the server was started from an older file. */
  async #lookAtTimeline(now: SeenSample): Promise<void> {
    const before = this.#seen.at(-2)?.end;
    const { end } = now;
    if (!end || !before || end.timeline <= before.timeline) return;
    const { repository, policy } = this.#context;
    const { why, parent } = await readTimeline({ repository, instance: policy.instance }, end.timeline);
    if (why !== 'older-file' || !parent) return;
    const keys = keysOfSample(now);
    const { atMs } = this.#seen.at(-2) as SeenSample;
    await this.#notice(
      { kind: 'older', keysBefore: keys, keysNow: keys, keysLost: 0, databases: [], goodMs: atMs },
      now,
    );
  }

  /** Every sample of the last seconds, and one of each half minute before. */
  #thin(nowMs: number): void {
    const { massMs, shrinkMs } = this.#options;
    let keptAt = 0;
    this.#seen = this.#seen.filter(({ atMs }, i) => {
      const isRecent = nowMs - atMs <= 2 * massMs || i >= this.#seen.length - 2;
      const keep = isRecent || (nowMs - atMs <= 2 * shrinkMs && atMs - keptAt >= coarseMs);
      if (keep) keptAt = atMs;
      return keep;
    });
  }

  async #ask(): Promise<ServerSample | undefined> {
    try {
      this.#redis ??= await connectRedis(this.#context.target, { connectTimeoutMs: 1_000, commandTimeoutMs: 3_000 });
      return sampleOf(String(await this.#redis.call('INFO', ...sampleSections)), this.#options.now());
    } catch {
      this.#redis?.disconnect();
      this.#redis = undefined;
      return undefined;
    }
  }

  async #listens(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const told = () => {
        this.#flushTold = true;
        this.#wake();
      };
      const refused = await listenForFlushes(this.#context.target, signal, told).then(
        () => false,
        (error: Error) => /NOPERM|NOPROTO|unknown command|unknown subcommand/i.test(error.message),
      );
      // Counters and the file tell it, too, up to a second later.
      await this.#pause(refused ? 60_000 : this.#options.askMs / 2, signal);
    }
  }

  // Noticing.

  async #notice(loss: LossFound, now: SeenSample): Promise<void> {
    const { togetherMs } = this.#options;
    const last = this.#state.loss;
    const isPart = last && (now.atMs - last.lastMs <= togetherMs || !last.told || !last.pinned);
    if (isPart) {
      last.lastMs = now.atMs;
      last.keysLost += loss.keysLost;
      last.databases = [...new Set([...last.databases, ...loss.databases])].sort((a, b) => a - b);
    } else {
      const good = this.#seen.findLast(({ atMs }) => atMs === loss.goodMs)?.end;
      this.#state.loss = {
        ...loss,
        databases: [...loss.databases],
        id: new Date(now.atMs).toISOString(),
        ...{ timeMs: now.atMs, lastMs: now.atMs, told: false, pinned: false },
        ...(good ? { good } : {}),
        ...(now.atMs - (this.#seen.at(-2)?.atMs ?? now.atMs) > lateMs ? { late: true } : {}),
      };
    }
    await this.#remember(true).catch((error) => this.#trouble(error));
    this.#act.resolve();
  }

  async #acts(signal: AbortSignal): Promise<void> {
    let wait = 200;
    while (!signal.aborted) {
      const loss = this.#state.loss;
      if (!loss || (loss.told && loss.pinned)) {
        this.#act = Promise.withResolvers();
        await Promise.race([this.#act.promise, this.#pause(this.#options.askMs, signal)]);
        continue;
      }
      try {
        await this.#actOn(loss, signal);
        wait = 200;
      } catch (error) {
        if (signal.aborted) return;
        this.#trouble(error);
        await this.#pause(wait, signal);
        wait = Math.min(retryMostMs, wait * 2);
      }
    }
  }

  async #actOn(loss: NoticedLoss, signal: AbortSignal): Promise<void> {
    if (!loss.told) {
      const own = await this.#whoseItIs(loss);
      if (own !== undefined) {
        Object.assign(loss, { own, told: true, pinned: true });
        return this.#remember(true);
      }
    }
    const results = await Promise.allSettled([this.#tell(loss, signal), this.#pin(loss, signal)]);
    const failed = results.find((each) => each.status === 'rejected');
    if (failed) throw failed.reason;
  }

  /** The product itself, or a runbook that owns the instance; undefined: somebody else. */
  async #whoseItIs({ timeMs, kind }: NoticedLoss): Promise<string | undefined> {
    const { repository, policy } = this.#context;
    const isRestart = kind === 'older' || kind.startsWith('came-back');
    const runbook = isRestart ? await this.#hooks.changedBy?.().catch(() => undefined) : undefined;
    if (runbook !== undefined) return runbook;
    try {
      return await ownChangeAt(repository, policy.instance, timeMs);
    } catch (error) {
      if (this.#options.now() - timeMs < doubtMs) throw error;
      return undefined;
    }
  }

  async #tell(loss: NoticedLoss, signal: AbortSignal): Promise<void> {
    if (loss.told) return;
    // A command is told at once, before the file says where it stands: fencing cannot wait for that.
    const good = isCommand(loss.kind) ? undefined : await this.#goodMoment(loss, signal);
    const { id, kind, command, keysLost, databases, timeMs, goodMs, late } = loss;
    const told = { id, kind, keysLost, databases, timeMs, goodMs };
    await this.#hooks.tell({
      ...told,
      ...(command === undefined ? {} : { command }),
      ...(late === undefined ? {} : { late }),
      ...(good === undefined ? {} : { good }),
    });
    loss.told = true;
    await this.#remember(true);
  }

  async #pin(loss: NoticedLoss, signal: AbortSignal): Promise<void> {
    if (loss.pinned) return;
    const good = await this.#goodMoment(loss, signal);
    const { repository, policy } = this.#context;
    // Nothing was archived yet: there is nothing to be kept.
    if (good) await pinMoment(repository, policy.instance, loss, good);
    loss.pinned = true;
    await this.#remember(true);
    if (good) this.#hooks.onPinned?.(good);
  }

  /** Right before the command, where the file tells it in time; else where the archive was when all was there. */
  async #goodMoment(loss: NoticedLoss, signal: AbortSignal): Promise<GoodMoment | undefined> {
    const { exactMs, now, askMs } = this.#options;
    while (!loss.exact && !signal.aborted && now() - loss.timeMs < exactMs) {
      loss.exact = await this.#exactOf(loss);
      if (!loss.exact) await this.#pause(Math.min(20, askMs), signal);
    }
    signal.throwIfAborted();
    return loss.exact ?? (await this.#laterEnd(loss)) ?? loss.good ?? this.#end;
  }

  /** Who came back and shows no timeline of its own yet: what was written since the last look is behind where that was. */
  async #laterEnd({ good, kind }: NoticedLoss): Promise<GoodMoment | undefined> {
    if (!good || isCommand(kind) || kind === 'shrank') return undefined;
    const end = await this.#endOf(good.timeline);
    return end && end.position > good.position ? { timeline: good.timeline, position: end.position } : undefined;
  }

  async #endOf(timeline: number): ReturnType<typeof endOf> {
    const { repository, policy } = this.#context;
    return endOf(await viewArchive({ repository, instance: policy.instance }), timeline);
  }

  async #exactOf(loss: NoticedLoss): Promise<NoticedLoss['exact']> {
    const { good, goodMs, kind } = loss;
    if (kind === 'shrank' && good) return { ...good, timeMs: goodMs };
    const wanted = kind === 'mass-delete' ? /^(DEL|UNLINK)$/ : /^(FLUSH|SWAP)/;
    const before = { atMs: goodMs, ...(good ? { end: good } : {}) };
    const [first] = this.#found
      .filter((found) => wanted.test(found.command) && this.#isSince(found, before))
      .sort((a, b) => a.timeline - b.timeline || a.position - b.position);
    if (first) return { timeline: first.timeline, position: first.position, timeMs: first.timeMs };
    // Whoever came back writes another timeline: the one before it ends where all was there.
    if (isCommand(kind)) return undefined;
    if (!good || (this.#end?.timeline ?? 0) <= good.timeline) return undefined;
    const end = await this.#endOf(good.timeline);
    return end && { timeline: good.timeline, position: end.position, timeMs: end.timeMs ?? goodMs };
  }

  /** In the file behind where the archive was then; where that is not known, by its time. */
  #isSince(found: FoundDestructive, before: { atMs: number; end?: GoodMoment } | undefined): boolean {
    if (!before) return false;
    if (!before.end) return found.timeMs >= before.atMs - 2 * this.#options.askMs;
    const { timeline, position } = before.end;
    return found.timeline > timeline || (found.timeline === timeline && found.position >= position);
  }

  // Remembering.

  #remember(durably: boolean): Promise<void> {
    this.#writtenAt = this.#options.now();
    const { home, policy } = this.#context;
    const next = this.#writing.then(() =>
      this.#state === undefined ? undefined : writeLossState(home, policy.instance, this.#state, durably),
    );
    this.#writing = next.catch(() => undefined);
    return next;
  }

  #wake(): void {
    this.#look.resolve();
  }

  #trouble(error: unknown): void {
    this.#hooks.onTrouble?.(error instanceof Error ? error.message : String(error));
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    await sleep(ms, undefined, { signal }).catch(() => undefined);
  }
}
