import type { StreamId } from '../../rdb/value-sink.ts';

const smallest = 1024;

/**
 * The pending entries of one group, which a dump has before it says who owns which: 32 bytes each. In the order of
 * their ids, as a server writes them.
 */
export class PendingList {
  #ms = new BigUint64Array(smallest);
  #seq = new BigUint64Array(smallest);
  #deliveredAtMs = new Float64Array(smallest);
  #deliveries = new Float64Array(smallest);
  #length = 0;

  /** Lets go of what a large group took, too. */
  clear(): void {
    this.#length = 0;
    if (this.#ms.length > 64 * smallest) this.#resize(smallest);
  }

  add({ ms, seq }: StreamId, deliveredAtMs: number, deliveries: number): void {
    const at = this.#length++;
    if (at === this.#ms.length) this.#resize(2 * at);
    this.#ms[at] = ms;
    this.#seq[at] = seq;
    this.#deliveredAtMs[at] = deliveredAtMs;
    this.#deliveries[at] = deliveries;
  }

  /** When it was last delivered (Unix ms) and how often; undefined where it is not pending. */
  find({ ms, seq }: StreamId): { deliveredAtMs: number; deliveries: number } | undefined {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const its = this.#ms[middle]!;
      if (its < ms || (its === ms && this.#seq[middle]! < seq)) low = middle + 1;
      else high = middle;
    }
    if (low === this.#length || this.#ms[low] !== ms || this.#seq[low] !== seq) return undefined;
    return { deliveredAtMs: this.#deliveredAtMs[low]!, deliveries: this.#deliveries[low]! };
  }

  #resize(to: number): void {
    const keep = Math.min(this.#length, to);
    const grown = <T extends BigUint64Array | Float64Array>(into: T, from: T): T => {
      into.set(from.subarray(0, keep) as never);
      return into;
    };
    this.#ms = grown(new BigUint64Array(to), this.#ms);
    this.#seq = grown(new BigUint64Array(to), this.#seq);
    this.#deliveredAtMs = grown(new Float64Array(to), this.#deliveredAtMs);
    this.#deliveries = grown(new Float64Array(to), this.#deliveries);
  }
}
