import type { StreamId } from '../../rdb/value-sink.ts';

/** Ids of a stream's entries in ascending order, 16 bytes each. */
export class IdList {
  #words: BigUint64Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#words = new BigUint64Array(2 * capacity);
  }

  get length(): number {
    return this.#length;
  }

  at(index: number): StreamId {
    return { ms: this.#words[2 * index]!, seq: this.#words[2 * index + 1]! };
  }

  clear(): void {
    this.#length = 0;
    if (this.#words.length > 128 * 1024) this.#words = new BigUint64Array(512);
  }

  /** Behind all the others: ids that come in order. */
  push({ ms, seq }: StreamId): void {
    this.#makeRoom();
    this.#words[2 * this.#length] = ms;
    this.#words[2 * this.#length + 1] = seq;
    this.#length++;
  }

  /** Where it belongs; one that is there already is not put twice. */
  insert(id: StreamId): void {
    const at = this.#firstNotBefore(id);
    if (this.#isAt(at, id)) return;
    this.#makeRoom();
    this.#words.copyWithin(2 * at + 2, 2 * at, 2 * this.#length);
    this.#words[2 * at] = id.ms;
    this.#words[2 * at + 1] = id.seq;
    this.#length++;
  }

  has(id: StreamId): boolean {
    return this.#isAt(this.#firstNotBefore(id), id);
  }

  #isAt(index: number, { ms, seq }: StreamId): boolean {
    return index < this.#length && this.#words[2 * index] === ms && this.#words[2 * index + 1] === seq;
  }

  #firstNotBefore({ ms, seq }: StreamId): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const its = this.#words[2 * middle]!;
      if (its < ms || (its === ms && this.#words[2 * middle + 1]! < seq)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #makeRoom(): void {
    if (2 * this.#length < this.#words.length) return;
    const grown = new BigUint64Array(2 * this.#words.length);
    grown.set(this.#words);
    this.#words = grown;
  }
}
