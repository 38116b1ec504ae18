/** A set of byte strings, exact, in little more memory than their bytes: for key names by the million. */
export class ByteStrings {
  #bytes = Buffer.allocUnsafe(64 * 1024);
  #used = 0;
  /** Where each string ends, by its number; it begins where the one before it ends. */
  #ends = new Float64Array(1024);
  /** A string's number plus 1, at its hash's place or the next that is free. A power of two long. */
  #places = new Int32Array(4096);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const place = this.#find(bytes, start, end);
    if (this.#places[place] !== 0) return;
    const length = end - start;
    if (this.#used + length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#used + length));
      this.#bytes.copy(grown, 0, 0, this.#used);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes.subarray(start, end), this.#used);
    this.#used += length;
    if (this.#size === this.#ends.length) {
      const grown = new Float64Array(this.#ends.length * 2);
      grown.set(this.#ends);
      this.#ends = grown;
    }
    this.#ends[this.#size++] = this.#used;
    this.#places[place] = this.#size;
    if (this.#size * 2 > this.#places.length) this.#rehash();
  }

  has(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
    return this.#size > 0 && this.#places[this.#find(bytes, start, end)] !== 0;
  }

  /** The place of the string, or the free one where it would stand. */
  #find(bytes: Uint8Array, start: number, end: number): number {
    const mask = this.#places.length - 1;
    for (let place = hash(bytes, start, end) & mask; ; place = (place + 1) & mask) {
      const number = this.#places[place]!;
      if (number === 0 || this.#is(number - 1, bytes, start, end)) return place;
    }
  }

  #is(number: number, bytes: Uint8Array, start: number, end: number): boolean {
    const from = number === 0 ? 0 : this.#ends[number - 1]!;
    if (this.#ends[number]! - from !== end - start) return false;
    const held = this.#bytes;
    for (let i = start, j = from; i < end; i++, j++) if (held[j] !== bytes[i]) return false;
    return true;
  }

  #rehash(): void {
    const places = new Int32Array(this.#places.length * 2);
    const mask = places.length - 1;
    for (let number = 0; number < this.#size; number++) {
      const from = number === 0 ? 0 : this.#ends[number - 1]!;
      let place = hash(this.#bytes, from, this.#ends[number]!) & mask;
      while (places[place] !== 0) place = (place + 1) & mask;
      places[place] = number + 1;
    }
    this.#places = places;
  }
}

/** FNV-1a, its bits mixed once more because only the lowest are used. */
function hash(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0x811c9dc5;
  for (let i = start; i < end; i++) sum = Math.imul(sum ^ bytes[i]!, 0x01000193);
  sum ^= sum >>> 15;
  return Math.imul(sum, 0x2c1b3c6d) ^ (sum >>> 12);
}
