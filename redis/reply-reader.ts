/** What a reply's part is, by the byte that it begins with (https://redis.io/docs/latest/develop/reference/protocol-spec/). */
export const replyKind = { status: 0x2b, error: 0x2d, integer: 0x3a, bulk: 0x24, array: 0x2a, nil: 0 } as const;

const lineFeed = 0x0a;
const minus = 0x2d;

/**
 * Takes RESP2 replies apart without making a string of anything: a reply is a row of parts, an array's own part before
 * those of its elements, each with where its bytes lie. For replies by the hundred thousand that are only digested.
 */
export class ReplyReader {
  /** The bytes that the parts lie in; until the next `push`. */
  bytes: Buffer = Buffer.alloc(0);
  /** The parts of the reply read last. */
  parts = 0;
  kinds = new Uint8Array(256);
  starts = new Int32Array(256);
  /** Where a text ends; an array's number of elements. */
  ends = new Int32Array(256);
  /** Where the next reply begins. */
  #at = 0;
  #needed = 0;

  push(chunk: Buffer): void {
    const left = this.bytes.length - this.#at;
    this.bytes = left === 0 ? chunk : Buffer.concat([this.bytes.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** Reads the next reply; false where it is not all there yet. */
  read(): boolean {
    // A long reply is not taken apart again for each chunk of it.
    if (this.bytes.length - this.#at < this.#needed) return false;
    this.#needed = 0;
    this.parts = 0;
    let at = this.#at;
    for (let left = 1; left > 0; left--) {
      const kind = this.bytes[at];
      const end = kind === undefined ? -1 : this.bytes.indexOf(lineFeed, at) - 1;
      if (end < 0) return this.#wait(at + 1);
      if (kind === replyKind.bulk || kind === replyKind.array) {
        const length = this.#integer(at + 1, end);
        if (length < 0) {
          this.#add(replyKind.nil, at, at);
        } else if (kind === replyKind.array) {
          this.#add(kind, at, length);
          left += length;
        } else {
          const start = end + 2;
          if (start + length + 2 > this.bytes.length) return this.#wait(start + length + 2);
          this.#add(kind, start, start + length);
          at = start + length + 2;
          continue;
        }
      } else {
        this.#add(kind!, at + 1, end);
      }
      at = end + 2;
    }
    this.#at = at;
    return true;
  }

  /** An integer's value. */
  integer(part: number): number {
    return this.#integer(this.starts[part]!, this.ends[part]!);
  }

  text(part: number): string {
    return this.bytes.toString('latin1', this.starts[part]!, this.ends[part]!);
  }

  /** Its own copy. */
  copy(part: number): Buffer {
    return Buffer.from(this.bytes.subarray(this.starts[part]!, this.ends[part]!));
  }

  /** The reply as a client gives it: texts as Buffers (of these bytes), arrays, numbers, null. */
  value(): unknown {
    return this.#value({ next: 0 });
  }

  #value(at: { next: number }): unknown {
    const part = at.next++;
    switch (this.kinds[part]) {
      case replyKind.array:
        return Array.from({ length: this.ends[part]! }, () => this.#value(at));
      case replyKind.integer:
        return this.integer(part);
      case replyKind.nil:
        return null;
      default:
        return this.bytes.subarray(this.starts[part]!, this.ends[part]!);
    }
  }

  #wait(needed: number): false {
    this.#needed = needed - this.#at;
    return false;
  }

  #integer(start: number, end: number): number {
    let value = 0;
    const negative = this.bytes[start] === minus;
    for (let at = negative ? start + 1 : start; at < end; at++) value = value * 10 + this.bytes[at]! - 0x30;
    return negative ? -value : value;
  }

  #add(kind: number, start: number, end: number): void {
    const part = this.parts++;
    if (part === this.kinds.length) {
      this.kinds = grown(new Uint8Array(2 * part), this.kinds);
      this.starts = grown(new Int32Array(2 * part), this.starts);
      this.ends = grown(new Int32Array(2 * part), this.ends);
    }
    this.kinds[part] = kind;
    this.starts[part] = start;
    this.ends[part] = end;
  }
}

function grown<T extends Uint8Array | Int32Array>(into: T, from: T): T {
  into.set(from);
  return into;
}
