/**
 * A 128-bit hash in four 32-bit lanes (the mixing of MurmurHash3's 128-bit form for 32-bit machines), for strings that
 * come in pieces. Not against an adversary: it tells equal content from different content, SHA-256 of the dump proves
 * that nobody changed it.
 */
export class Hash128 {
  /** The four lanes; the result after `finish`. */
  a = 0;
  b = 0;
  c = 0;
  d = 0;
  #length = 0;
  /** Bytes of a string that do not fill a block of 16 yet. */
  readonly #tail = new Uint8Array(16);
  #held = 0;

  /** Begins anew; different tags give unrelated hashes. */
  begin(tag: number): void {
    this.a = tag;
    this.b = 0x9e3779b9;
    this.c = 0x85ebca6b;
    this.d = 0xc2b2ae35;
    this.#length = 0;
    this.#held = 0;
  }

  /** Takes in four 32-bit words. */
  words(k1: number, k2: number, k3: number, k4: number): void {
    let { a, b, c, d } = this;
    k1 = Math.imul(k1, 0x239b961b);
    a ^= Math.imul((k1 << 15) | (k1 >>> 17), 0xab0e9789);
    a = (Math.imul(((a << 19) | (a >>> 13)) + b, 5) + 0x561ccd1b) | 0;
    k2 = Math.imul(k2, 0xab0e9789);
    b ^= Math.imul((k2 << 16) | (k2 >>> 16), 0x38b34ae5);
    b = (Math.imul(((b << 17) | (b >>> 15)) + c, 5) + 0x0bcaa747) | 0;
    k3 = Math.imul(k3, 0x38b34ae5);
    c ^= Math.imul((k3 << 17) | (k3 >>> 15), 0xa1e38b93);
    c = (Math.imul(((c << 15) | (c >>> 17)) + d, 5) + 0x96cd1c35) | 0;
    k4 = Math.imul(k4, 0xa1e38b93);
    d ^= Math.imul((k4 << 18) | (k4 >>> 14), 0x239b961b);
    d = (Math.imul(((d << 13) | (d >>> 19)) + a, 5) + 0x32ac3b17) | 0;
    this.a = a;
    this.b = b;
    this.c = c;
    this.d = d;
  }

  /** Takes in the bytes [start, end) of a string. */
  bytes(buf: Uint8Array, start: number, end: number): void {
    this.#length += end - start;
    let at = start;
    if (this.#held > 0) {
      while (this.#held < 16 && at < end) this.#tail[this.#held++] = buf[at++]!;
      if (this.#held < 16) return;
      this.#block(this.#tail, 0);
      this.#held = 0;
    }
    for (; at + 16 <= end; at += 16) this.#block(buf, at);
    while (at < end) this.#tail[this.#held++] = buf[at++]!;
  }

  /** Ends a string: its length goes in too, so that strings after each other cannot be mistaken for others. */
  endString(): void {
    if (this.#held > 0) {
      this.#tail.fill(0, this.#held);
      this.#block(this.#tail, 0);
      this.#held = 0;
    }
    this.words(this.#length >>> 0, (this.#length / 0x1_0000_0000) >>> 0, 0, 0x5bd1e995);
    this.#length = 0;
  }

  /** Spreads every bit over all lanes. */
  finish(): void {
    let a = (this.a + this.b + this.c + this.d) | 0;
    const b = mix((this.b + a) | 0);
    const c = mix((this.c + a) | 0);
    const d = mix((this.d + a) | 0);
    a = (mix(a) + b + c + d) | 0;
    this.a = a >>> 0;
    this.b = (b + a) >>> 0;
    this.c = (c + a) >>> 0;
    this.d = (d + a) >>> 0;
  }

  #block(buf: Uint8Array, i: number): void {
    this.words(
      buf[i]! | (buf[i + 1]! << 8) | (buf[i + 2]! << 16) | (buf[i + 3]! << 24),
      buf[i + 4]! | (buf[i + 5]! << 8) | (buf[i + 6]! << 16) | (buf[i + 7]! << 24),
      buf[i + 8]! | (buf[i + 9]! << 8) | (buf[i + 10]! << 16) | (buf[i + 11]! << 24),
      buf[i + 12]! | (buf[i + 13]! << 8) | (buf[i + 14]! << 16) | (buf[i + 15]! << 24),
    );
  }
}

function mix(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
