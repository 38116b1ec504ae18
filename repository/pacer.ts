import { setTimeout as sleep } from 'node:timers/promises';

/** Holds an upload to a rate: waits until the bytes sent so far fit it. Without a rate it never waits. */
export class Pacer {
  readonly #bytesPerSecond: number | undefined;
  readonly #startedAt = performance.now();
  #sent = 0;

  constructor(bytesPerSecond: number | undefined) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Call before sending `bytes`. Rejects with the signal's reason when it is aborted while waiting. */
  async before(bytes: number, signal?: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === undefined) return;
    const dueAt = this.#startedAt + (this.#sent / this.#bytesPerSecond) * 1000;
    this.#sent += bytes;
    const wait = dueAt - performance.now();
    if (wait > 0) await sleep(wait, undefined, { signal }).catch(() => signal?.throwIfAborted());
  }
}
