/** Random numbers that are the same for the same seed on every machine (xoshiro128**). */
export class Random {
  readonly #state = new Uint32Array(4);

  constructor(seed: number) {
    // Spread by splitmix32: the generator itself must not begin with zeroes.
    let z = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      z = (z + 0x9e3779b9) >>> 0;
      let mixed = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
      this.#state[i] = mixed ^ (mixed >>> 16);
    }
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.#state;
    const five = Math.imul(s[1]!, 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = (s[3]! << 11) | (s[3]! >>> 21);
    return result;
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return Math.floor((this.bits() / 0x1_0000_0000) * below);
  }

  /** An integer in [from, to]. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  chance(probability: number): boolean {
    return this.bits() < probability * 0x1_0000_0000;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** Bytes that do not compress. */
  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i++) bytes[i] = this.bits() >>> 24;
    return bytes;
  }
}
