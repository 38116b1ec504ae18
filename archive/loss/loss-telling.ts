import type { InstanceContext } from '../../backup/instance-context.ts';
import { exactMoment, latestGoodMoment } from './good-moment.ts';
import type { LossFound } from './judge-loss.ts';
import type { LossMemory } from './loss-memory.ts';
import { pinMoment } from './loss-record.ts';
import type { NoticedLoss } from './loss-state.ts';
import { ownChangeAt } from './own-change.ts';
import { pause } from './pause.ts';
import type { SeenArchive } from './seen-archive.ts';
import { type GoodMoment, leavesCommand, type ToldLoss } from './told-loss.ts';

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

export interface TellingOptions {
  /** Between two looks whether there is something to tell, in ms. */
  readonly askMs: number;
  /** What follows so soon after a loss is a part of it, in ms. */
  readonly togetherMs: number;
  /** So long the file is waited for to tell where it was, in ms. */
  readonly exactMs: number;
  /** Unix ms, by the clock of Redis' machine. */
  readonly now: () => number;
}

/** What was seen when it was noticed. */
export interface NoticedAt {
  readonly atMs: number;
  /** Of the look before. */
  readonly lastLookMs: number;
  /** Where the archive was when all was there the last time. */
  readonly good?: GoodMoment;
}

/** What happened in a longer time without a look is told, and nothing is fenced for it. */
const lateMs = 10 * 60_000;
/** Without the store nobody can say whether it was the product itself; then it is told. */
const doubtMs = 10_000;
const retryMs = 200;
const retryMostMs = 10_000;

/**
 * Does what has to be done about a loss: it is written down on this machine, told, and its last good moment pinned; each until
 * it is done, also by the next process.
 */
export class LossTelling {
  readonly #context: InstanceContext;
  readonly #hooks: LossHooks;
  readonly #options: TellingOptions;
  readonly #memory: LossMemory;
  readonly #archive: SeenArchive;
  #noticed = Promise.withResolvers<void>();

  constructor(
    context: InstanceContext,
    hooks: LossHooks,
    options: TellingOptions,
    { memory, archive }: { readonly memory: LossMemory; readonly archive: SeenArchive },
  ) {
    this.#context = context;
    this.#hooks = hooks;
    this.#options = options;
    this.#memory = memory;
    this.#archive = archive;
  }

  async notice(loss: LossFound, { atMs, lastLookMs, good }: NoticedAt): Promise<void> {
    const { state } = this.#memory;
    const last = state.loss;
    // A clock that was set back makes no part of a loss of before; nor is what comes after a change of ours a part of that.
    const isSoon = last && last.own === undefined && Math.abs(atMs - last.lastMs) <= this.#options.togetherMs;
    const isPart = last && (isSoon || !last.told || !last.pinned);
    if (isPart) {
      last.lastMs = atMs;
      last.keysLost += loss.keysLost;
      last.databases = [...new Set([...last.databases, ...loss.databases])].sort((a, b) => a - b);
    } else {
      state.loss = {
        ...{ ...loss, databases: [...loss.databases], id: new Date(atMs).toISOString() },
        ...{ timeMs: atMs, lastMs: atMs, told: false, pinned: false },
        ...(good ? { good } : {}),
        ...(atMs - lastLookMs > lateMs ? { late: true } : {}),
      };
    }
    await this.#memory.write(true).catch((error) => this.#trouble(error));
    this.#noticed.resolve();
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    let wait = retryMs;
    while (!signal.aborted) {
      const { loss } = this.#memory.state;
      if (!loss || (loss.told && loss.pinned)) {
        this.#noticed = Promise.withResolvers();
        await Promise.race([this.#noticed.promise, pause(this.#options.askMs, signal)]);
        continue;
      }
      try {
        // Told before it is written down it would be another loss, with another id, to the next process.
        await this.#memory.written();
        await this.#actOn(loss, signal);
        wait = retryMs;
      } catch (error) {
        if (signal.aborted) return;
        this.#trouble(error);
        await pause(wait, signal);
        wait = Math.min(retryMostMs, wait * 2);
      }
    }
  }

  async #actOn(loss: NoticedLoss, signal: AbortSignal): Promise<void> {
    if (!loss.told) {
      const own = await this.#whoseItIs(loss);
      if (own !== undefined) {
        Object.assign(loss, { own, told: true, pinned: true });
        return this.#memory.write(true);
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
      if (Math.abs(this.#options.now() - timeMs) < doubtMs) throw error;
      return undefined;
    }
  }

  async #tell(loss: NoticedLoss, signal: AbortSignal): Promise<void> {
    if (loss.told) return;
    // A command is told at once, before the file says where it stands: fencing cannot wait for that.
    const good = leavesCommand(loss.kind) ? undefined : await this.#goodMoment(loss, signal);
    const { id, kind, command, keysLost, databases, timeMs, goodMs, late } = loss;
    const told = { id, kind, keysLost, databases, timeMs, goodMs };
    await this.#hooks.tell({
      ...told,
      ...(command === undefined ? {} : { command }),
      ...(late === undefined ? {} : { late }),
      ...(good === undefined ? {} : { good }),
    });
    loss.told = true;
    await this.#memory.write(true);
  }

  async #pin(loss: NoticedLoss, signal: AbortSignal): Promise<void> {
    if (loss.pinned) return;
    const good = await this.#goodMoment(loss, signal);
    const { repository, policy } = this.#context;
    // Nothing was archived yet: there is nothing to be kept.
    if (good) await pinMoment(repository, policy.instance, loss, good);
    loss.pinned = true;
    await this.#memory.write(true);
    if (good) this.#hooks.onPinned?.(good);
  }

  async #goodMoment(loss: NoticedLoss, signal: AbortSignal): Promise<GoodMoment | undefined> {
    const { exactMs, now, askMs } = this.#options;
    // By a clock that nobody sets: one that was wrong when the loss was noticed would have it wait for that long.
    const waitedMs = Math.max(0, now() - loss.timeMs);
    const until = performance.now() + exactMs - waitedMs;
    while (!loss.exact && !signal.aborted && performance.now() < until) {
      loss.exact = await exactMoment(this.#context, this.#archive, loss);
      if (!loss.exact) await pause(Math.min(20, askMs), signal);
    }
    signal.throwIfAborted();
    return loss.exact ?? latestGoodMoment(this.#context, this.#archive, loss);
  }

  #trouble(error: unknown): void {
    this.#hooks.onTrouble?.(error instanceof Error ? error.message : String(error));
  }
}
