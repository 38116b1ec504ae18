/**
 * Chooses `count` of a stream of things whose number is not known, each with the same chance (algorithm R), the same
 * ones for the same seed.
 */
export class Reservoir<T> {
  readonly #slots: (T | undefined)[] = [];
  readonly #count: number;
  #seen = 0;
  #state: number;

  constructor(count: number, seed: number) {
    this.#count = count;
    this.#state = seed | 0;
  }

  /** The slot for the next thing, or -1 where it is not chosen. */
  offer(): number {
    const index = this.#seen++;
    if (index < this.#count) return index;
    if (this.#count === 0) return -1;
    const slot = Math.floor(this.#random() * this.#seen);
    return slot < this.#count ? slot : -1;
  }

  put(slot: number, thing: T): void {
    this.#slots[slot] = thing;
  }

  get chosen(): T[] {
    return this.#slots.filter((thing) => thing !== undefined);
  }

  /** In [0, 1), from 53 bits of a splitmix-like generator of 32-bit state. */
  #random(): number {
    return (this.#next() * 0x20_0000 + (this.#next() >>> 11)) / 0x20_0000_0000_0000;
  }

  #next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }
}
