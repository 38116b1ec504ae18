/** A server holds no key twice: a dump in which one stands twice is damaged, and ends the server that loads it. */

const firstSlots = 1 << 12;
/** 128 MiB of memory; behind 10 million keys nothing is noticed any more. */
const mostSlots = 1 << 24;

const removed = -1;

/** Which keys were seen, by 53 bits of a hash: exact enough for a warning in one of 10^4 dumps of a million keys. */
export class KeySet {
  #slots = new Float64Array(firstSlots);
  #used = 0;

  /** @returns what `remove` takes; undefined where the key was there already */
  add(db: number, bytes: Uint8Array, start: number, end: number): number | undefined {
    const hash = hashOf(db, bytes, start, end);
    if (this.#used * 1.6 > this.#slots.length && !this.#grow()) return hash;
    return this.#put(hash) ? hash : undefined;
  }

  remove(hash: number): void {
    const slots = this.#slots;
    for (let at = hash % slots.length; slots[at] !== 0; at = at + 1 === slots.length ? 0 : at + 1) {
      if (slots[at] === hash) slots[at] = removed;
    }
  }

  #put(hash: number): boolean {
    const slots = this.#slots;
    for (let at = hash % slots.length; ; at = at + 1 === slots.length ? 0 : at + 1) {
      const there = slots[at]!;
      if (there === hash) return false;
      if (there !== 0) continue;
      slots[at] = hash;
      this.#used++;
      return true;
    }
  }

  #grow(): boolean {
    const old = this.#slots;
    if (old.length >= mostSlots) return false;
    this.#slots = new Float64Array(old.length * 2);
    this.#used = 0;
    for (const hash of old) if (hash > 0) this.#put(hash);
    return true;
  }
}

/** From 1 to 2^53. */
export function hashOf(db: number, bytes: Uint8Array, start: number, end: number): number {
  let a = 0x9dc5811c ^ db;
  let b = 0x85ebca6b + db;
  for (let i = start; i < end; i++) {
    a = Math.imul(a ^ bytes[i]!, 0x01000193);
    b = (Math.imul(b, 31) + bytes[i]! + (a >>> 15)) | 0;
  }
  a = Math.imul(a ^ (a >>> 16) ^ (end - start), 0x7feb352d);
  b = Math.imul(b ^ (b >>> 15), 0x846ca68b);
  return ((a ^ (a >>> 15)) >>> 0) * 0x20_0000 + ((b ^ (b >>> 16)) & 0x1f_ffff) + 1;
}
