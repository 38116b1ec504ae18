/** Longest request that a replica's handshake may have, in bytes. */
const requestLimit = 64 * 1024;

/**
 * Cuts what a replica sends into requests: arrays of bulk strings (https://redis.io/docs/latest/develop/reference/protocol-spec/),
 * and bare newlines between them, by which it says that it lives while it loads.
 */
export class ReplicaRequests {
  #held: Buffer = Buffer.alloc(0);

  /** @throws Error for what is not this protocol */
  take(bytes: Buffer): string[][] {
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    if (this.#held.length > requestLimit) throw new Error('it sent a request that no replica sends');
    const requests: string[][] = [];
    for (let at = 0; ; ) {
      while (this.#held[at] === 0x0a || this.#held[at] === 0x0d) at += 1;
      const request = this.#read(at);
      if (request === undefined) {
        this.#held = this.#held.subarray(at);
        return requests;
      }
      requests.push(request.words);
      at = request.end;
    }
  }

  #read(start: number): { words: string[]; end: number } | undefined {
    const header = this.#line(start);
    if (header === undefined) return undefined;
    // Some servers greet with an inline PING.
    if (!header.text.startsWith('*')) return { words: header.text.split(' '), end: header.end };
    const words: string[] = [];
    let at = header.end;
    for (let left = lengthIn(header.text); left > 0; left -= 1) {
      const size = this.#line(at);
      if (size === undefined) return undefined;
      if (!size.text.startsWith('$')) throw new Error('it sent what is not the protocol of Redis');
      const length = lengthIn(size.text);
      if (this.#held.length < size.end + length + 2) return undefined;
      words.push(this.#held.toString('utf8', size.end, size.end + length));
      at = size.end + length + 2;
    }
    return { words, end: at };
  }

  #line(start: number): { text: string; end: number } | undefined {
    const end = this.#held.indexOf('\r\n', start);
    return end < 0 ? undefined : { text: this.#held.toString('latin1', start, end), end: end + 2 };
  }
}

function lengthIn(text: string): number {
  if (!/^.\d{1,6}$/.test(text)) throw new Error('it sent what is not the protocol of Redis');
  return Number(text.slice(1));
}
