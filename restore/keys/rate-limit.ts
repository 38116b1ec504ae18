import { setTimeout as sleep } from 'node:timers/promises';

/** What a restore may take of the live server. */
export interface PutLimits {
  readonly keysPerSecond?: number;
  readonly bytesPerSecond?: number;
  /** While the live server answers PING more slowly than this, less is sent. */
  readonly maxLatencyMs?: number;
  /** Of maxmemory, 0 to 1: no more keys are put when it is used up, before the server refuses or evicts. */
  readonly maxMemoryShare?: number;
}

/** So long a pause is made good afterwards, not more. */
const makeGoodMs = 100;

/** Holds what is sent to a rate of keys and of bytes. */
export class RateLimit {
  readonly #keysPerMs: number;
  readonly #bytesPerMs: number;
  #dueAt = performance.now();

  constructor({ keysPerSecond = Number.POSITIVE_INFINITY, bytesPerSecond = Number.POSITIVE_INFINITY }: PutLimits) {
    this.#keysPerMs = keysPerSecond / 1000;
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** Call before sending: waits until what was sent before fits the rates. */
  async before(keys: number, bytes: number, signal: AbortSignal): Promise<void> {
    const now = performance.now();
    const wait = this.#dueAt - now;
    this.#dueAt = Math.max(this.#dueAt, now - makeGoodMs) + Math.max(keys / this.#keysPerMs, bytes / this.#bytesPerMs);
    if (wait > 1) await sleep(wait, undefined, { signal }).catch(() => {});
  }
}
