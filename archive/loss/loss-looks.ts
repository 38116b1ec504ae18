import type { Redis } from 'ioredis';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { connectRedis } from '../../redis/connection.ts';
import { readTimeline } from '../read/records.ts';
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
import type { LossMemory } from './loss-memory.ts';
import type { LossTelling, TellingOptions } from './loss-telling.ts';
import { pause } from './pause.ts';
import type { SeenArchive } from './seen-archive.ts';
import { keysOfSample, type ServerSample, sampleOf, sampleSections } from './server-sample.ts';

/** `askMs` is between two questions to Redis, too. */
export interface LookOptions extends LossLimits, TellingOptions {}

export interface LooksParts {
  readonly memory: LossMemory;
  readonly archive: SeenArchive;
  readonly telling: LossTelling;
  readonly onTrouble: (error: unknown) => void;
}

/** Between two states on the disk where nothing happened. */
const rememberMs = 5_000;
/** A sample of each such time is kept for as long as a dataset is watched for shrinking. */
const coarseMs = 30_000;
/** After which a FLUSHDB is taken out of a deployment's hands: its old data should be gone by then. */
const deploymentMs = 3_600_000;
/** One that was a replica for longer is looked at as if for the first time. */
const forgottenMs = 5 * 60_000;
/** However often something is told, Redis is not asked more often than this allows. */
const leastMs = 20;

/** Looks at a server: one INFO a second, and a connection on which it tells of a flush. What it takes for a loss is noticed. */
export class LossLooks {
  readonly #context: InstanceContext;
  readonly #options: LookOptions;
  readonly #parts: LooksParts;
  #seen: SeenSample[] = [];
  #redis: Redis | undefined;
  #flushTold = false;
  /** A FLUSHDB of which only the file can say what it took. */
  #undecided: { before: ServerSample; now: ServerSample; untilMs: number } | undefined;
  #look = Promise.withResolvers<void>();
  #replicaSinceMs: number | undefined;

  constructor(context: InstanceContext, options: LookOptions, parts: LooksParts) {
    this.#context = context;
    this.#options = options;
    this.#parts = parts;
    const { sample, end } = parts.memory.state;
    if (sample) this.#seen = [{ ...sample, unexplained: 0, ...(end ? { end } : {}) }];
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await Promise.all([this.#looks(signal), this.#listens(signal)]);
    } finally {
      this.#redis?.disconnect();
    }
  }

  /** Something happened that is to be looked at now. */
  wake(): void {
    this.#look.resolve();
  }

  async #looks(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const answered = await this.#lookOnce().catch((error) => {
        this.#parts.onTrouble(error);
        return true;
      });
      await pause(leastMs, signal);
      const look = this.#look.promise;
      // One that comes back is looked at before it is written to.
      await Promise.race([look, pause(answered ? this.#options.askMs : this.#options.askMs / 5, signal)]);
    }
  }

  /** @returns false where the server did not answer */
  async #lookOnce(): Promise<boolean> {
    this.#look = Promise.withResolvers();
    const { archive, memory } = this.#parts;
    const { end } = archive;
    const flushTold = this.#flushTold;
    const sample = await this.#ask();
    if (!sample) return false;
    this.#flushTold = this.#flushTold && !flushTold;
    const last = this.#seen.at(-1);
    if (last && sample.atMs < last.atMs) this.#clockWentBack(last.atMs - sample.atMs + 1);
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
    memory.state.sample = sample;
    if (end) memory.state.end = end;
    await this.#lookAtTimeline(now);
    if (loss) {
      await this.#notice(loss, now);
      this.#seen = [now];
    } else this.#thin(now.atMs);
    await memory.writeEvery(rememberMs);
    return true;
  }

  /** What was seen before was before: else all that went within so long would have gone within seconds. */
  #clockWentBack(byMs: number): void {
    this.#seen = this.#seen.map((each) => ({ ...each, atMs: each.atMs - byMs }));
    const { swappedOut } = this.#parts.memory.state;
    for (const [database, atMs] of Object.entries(swappedOut)) swappedOut[database] = Math.max(0, atMs - byMs);
    if (this.#replicaSinceMs !== undefined) this.#replicaSinceMs -= byMs;
  }

  /** What went of databases that deployments have put out of service, which is no loss. */
  #outOfService(before: SeenSample, now: ServerSample): Map<string, number> {
    const { swappedOut } = this.#parts.memory.state;
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
    const since = before ? this.#parts.archive.since(before) : [];
    const massInFile = since.some(({ command }) => /^(DEL|UNLINK)$/.test(command));
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
    const flushed = this.#parts.archive
      .seenSince(open.before.atMs - this.#options.askMs)
      .filter(({ command }) => command === 'FLUSHDB')
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

  async #notice(loss: LossFound, { atMs }: SeenSample): Promise<void> {
    const good = this.#seen.findLast((each) => each.atMs === loss.goodMs)?.end;
    const lastLookMs = this.#seen.at(-2)?.atMs ?? atMs;
    await this.#parts.telling.notice(loss, { atMs, lastLookMs, ...(good ? { good } : {}) });
  }

  async #listens(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const told = () => {
        this.#flushTold = true;
        this.wake();
      };
      const refused = await listenForFlushes(this.#context.target, signal, told).then(
        () => false,
        (error: Error) => /NOPERM|NOPROTO|unknown command|unknown subcommand/i.test(error.message),
      );
      // Counters and the file tell it, too, up to a second later.
      await pause(refused ? 60_000 : this.#options.askMs / 2, signal);
    }
  }
}
