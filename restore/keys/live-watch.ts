import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import { infoNumber, readInfo } from '../../redis/info.ts';
import type { PutLimits } from './rate-limit.ts';
import type { TargetFacts } from './target-facts.ts';

const askEveryMs = 50;
const mostUnderWay = 4 * 1024 * 1024;
const longestPauseMs = 2_000;
const leastUnderWay = 32 * 1024;
/** Memory that a byte of commands becomes at most, where no more was measured: small keys take the most. */
const leastGrowth = 4;

/**
 * Watches the live server over a connection of its own while keys are put: how soon it answers, and how much memory it
 * has left. Says how much may be under way.
 */
export class LiveWatch {
  readonly #redis: Redis;
  readonly #limits: PutLimits;
  readonly #memoryLimit: number;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #window = mostUnderWay;
  /** Doubled each time that it was in vain, ms. */
  #pause = 0;
  #resumeAt = 0;
  /** Bytes that may be sent before the memory is looked at again. */
  #headroom = Number.POSITIVE_INFINITY;
  #growth = leastGrowth;
  #lastUsed = -1;
  #sentSinceAsked = 0;
  #used = 0;
  #asked: Promise<void> | undefined;
  failure: RewindError | undefined;

  constructor(redis: Redis, limits: PutLimits, facts: TargetFacts) {
    this.#redis = redis;
    this.#limits = limits;
    const share = limits.maxMemoryShare;
    this.#memoryLimit = facts.maxMemory > 0 && share !== undefined ? facts.maxMemory * share : Number.POSITIVE_INFINITY;
  }

  get active(): boolean {
    return this.#limits.maxLatencyMs !== undefined || this.#memoryLimit < Number.POSITIVE_INFINITY;
  }

  /** Bytes that may be under way, unanswered. */
  get window(): number {
    return this.#window;
  }

  async start(): Promise<void> {
    if (!this.active) return;
    await this.#ask();
    this.#next();
  }

  stop(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** How long to hold off before the next bytes are sent, ms. */
  get pauseMs(): number {
    return Math.max(0, this.#resumeAt - performance.now());
  }

  /**
   * Call before `bytes` are sent, and pass what tells when all before was answered: near the limit each batch is looked
   * at on its own.
   *
   * @throws RESTORE_TARGET_FULL
   */
  async room(bytes: number, answered: () => Promise<void>): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    // While it is late, one part at a time.
    if (this.#pause > 0) await this.#ask();
    if (this.#memoryLimit === Number.POSITIVE_INFINITY) return;
    if (this.#sentSinceAsked + bytes > this.#headroom) {
      await answered();
      await this.#ask();
      if (this.failure !== undefined) throw this.failure;
      if (bytes > this.#headroom) throw this.#full();
    }
    this.#sentSinceAsked += bytes;
  }

  #next(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(async () => {
      await this.#ask();
      this.#next();
    }, askEveryMs);
  }

  /** One look at a time; a second caller shares it only if nothing was sent since. */
  async #ask(): Promise<void> {
    while (this.#asked !== undefined) await this.#asked;
    this.#asked = this.#look().finally(() => {
      this.#asked = undefined;
    });
    await this.#asked;
  }

  async #look(): Promise<void> {
    try {
      const since = performance.now();
      await this.#redis.ping();
      this.#judgeLatency(performance.now() - since);
      if (this.#memoryLimit === Number.POSITIVE_INFINITY) return;
      const sent = this.#sentSinceAsked;
      const info = await readInfo(this.#redis, 'memory');
      const used = (infoNumber(info, 'used_memory') ?? 0) - (infoNumber(info, 'mem_not_counted_for_evict') ?? 0);
      if (this.#lastUsed >= 0 && sent > 64 * 1024) this.#growth = Math.max(leastGrowth, (used - this.#lastUsed) / sent);
      this.#lastUsed = used;
      this.#sentSinceAsked -= sent;
      this.#used = used;
      this.#headroom = Math.max(0, (this.#memoryLimit - used) / this.#growth);
    } catch {
      // The connection that keys go over says it better.
    }
  }

  #judgeLatency(tookMs: number): void {
    const most = this.#limits.maxLatencyMs;
    if (most === undefined) return;
    if (tookMs <= most) {
      this.#window = Math.min(mostUnderWay, this.#window * 1.25);
      this.#pause = 0;
      return;
    }
    this.#window = Math.max(leastUnderWay, this.#window / 2);
    // Between two pauses something is sent: an answer that is late for another reason does not stop the restore.
    if (this.pauseMs > 0) return;
    this.#pause = Math.min(longestPauseMs, Math.max(4 * tookMs, 2 * this.#pause));
    this.#resumeAt = performance.now() + this.#pause;
  }

  #full(): RewindError {
    const limit = Math.round(this.#memoryLimit);
    this.failure = new RewindError(
      'RESTORE_TARGET_FULL',
      `Redis uses ${this.#used} bytes of the ${limit} that a restore may fill: more keys would make it refuse writes or evict`,
      { details: { used: this.#used, limit } },
    );
    return this.failure;
  }
}
