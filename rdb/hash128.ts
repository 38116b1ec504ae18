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
  /** Bytes of the string at hand that `piece` took in; those that fill no block of 16 yet. */
  #length = 0;
  readonly #tail = new Uint8Array(16);
  #held = 0;
  readonly #views = new RecentViews();

  /** Begins anew; different tags give unrelated hashes. */
  begin(tag: number): void {
    this.a = tag;
    this.b = 0x9e3779b9 | 0;
    this.c = 0x85ebca6b | 0;
    this.d = 0xc2b2ae35 | 0;
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

  /** Takes in a string, or its last piece: its length goes in too, so that two strings never read as another two. */
  string(buf: Uint8Array, start: number, end: number): void {
    let at = start;
    if (this.#length > 0) {
      this.piece(buf, start, end);
      this.#lastWords(this.#tail, 0, this.#held, this.#length);
      this.#length = 0;
      this.#held = 0;
      return;
    }
    if (end - at >= 16) at = this.#blocks(buf, at, end);
    this.#lastWords(buf, at, end - at, end - start);
  }

  /** Takes in a piece of a string that goes on. */
  piece(buf: Uint8Array, start: number, end: number): void {
    this.#length += end - start;
    let at = start;
    if (this.#held > 0) {
      while (this.#held < 16 && at < end) this.#tail[this.#held++] = buf[at++]!;
      if (this.#held < 16) return;
      this.#blocks(this.#tail, 0, 16);
      this.#held = 0;
    }
    at = this.#blocks(buf, at, end);
    while (at < end) this.#tail[this.#held++] = buf[at++]!;
  }

  /** Spreads every bit over all lanes. */
  finish(): void {
    let a = (this.a + this.b + this.c + this.d) | 0;
    const b = spread((this.b + a) | 0);
    const c = spread((this.c + a) | 0);
    const d = spread((this.d + a) | 0);
    a = (spread(a) + b + c + d) | 0;
    this.a = a;
    this.b = (b + a) | 0;
    this.c = (c + a) | 0;
    this.d = (d + a) | 0;
  }

  /** Takes in all whole blocks of 16 bytes and returns where they end. */
  #blocks(buf: Uint8Array, start: number, end: number): number {
    const view = this.#views.of(buf);
    let at = start;
    for (; end - at >= 16; at += 16) {
      this.words(
        view.getInt32(at, true),
        view.getInt32(at + 4, true),
        view.getInt32(at + 8, true),
        view.getInt32(at + 12, true),
      );
    }
    return at;
  }

  /** The up to 15 bytes behind the last block and the string's length; both in one block where they have room. */
  #lastWords(buf: Uint8Array, start: number, bytes: number, length: number): void {
    const k1 = upToFour(buf, start, bytes);
    const k2 = upToFour(buf, start + 4, bytes - 4);
    const k3 = upToFour(buf, start + 8, bytes - 8);
    if (bytes <= 12) {
      this.words(k1, k2, k3, length);
    } else {
      this.words(k1, k2, k3, upToFour(buf, start + 12, bytes - 12));
      this.words(0, 0, 0, length);
    }
  }
}

/** Up to four bytes as a word; none: 0. */
function upToFour(buf: Uint8Array, at: number, bytes: number): number {
  if (bytes <= 0) return 0;
  let word = buf[at]!;
  if (bytes > 1) word |= buf[at + 1]! << 8;
  if (bytes > 2) word |= buf[at + 2]! << 16;
  if (bytes > 3) word |= buf[at + 3]! << 24;
  return word;
}

function spread(h: number): number {
  let x = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/** Views of the two buffers used last: a walk reads most strings out of two, its window and what it decompresses to. */
class RecentViews {
  #first: Uint8Array | undefined;
  #firstView!: DataView;
  #second: Uint8Array | undefined;
  #secondView!: DataView;

  of(buf: Uint8Array): DataView {
    if (buf === this.#first) return this.#firstView;
    if (buf === this.#second) return this.#secondView;
    this.#second = this.#first;
    this.#secondView = this.#firstView;
    this.#first = buf;
    this.#firstView = new DataView(buf.buffer, buf.byteOffset, buf.byteLength);
    return this.#firstView;
  }
}
