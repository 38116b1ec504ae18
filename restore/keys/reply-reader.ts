/** Who is told each reply in order. Of what a reply says only errors and numbers are kept. */
export interface ReplyListener {
  /** `+OK`. */
  ok(): void;
  /** Any other: an error's words, a number, or undefined for what says neither. */
  reply(error: string | undefined, integer: number | undefined): void;
}

const plus = 0x2b;
const minus = 0x2d;
const colon = 0x3a;
const dollar = 0x24;
const asterisk = 0x2a;
const lineFeed = 0x0a;

/** Reads RESP2 replies off chunks as they come: https://redis.io/docs/latest/develop/reference/protocol-spec/ */
export class ReplyReader {
  readonly #listener: ReplyListener;
  /** The beginning of a line whose end has not come. */
  #held: Buffer | undefined;
  /** Bytes of a bulk string, with the end of its line, that are still to come. */
  #bulkLeft = 0;
  /** Elements of arrays that are still to come. */
  #elementsLeft = 0;
  #error: string | undefined;

  constructor(listener: ReplyListener) {
    this.#listener = listener;
  }

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#bulkLeft > 0) {
        const taken = Math.min(this.#bulkLeft, chunk.length - at);
        at += taken;
        this.#bulkLeft -= taken;
        if (this.#bulkLeft === 0) this.#element(undefined, undefined);
        continue;
      }
      if (this.#held === undefined && this.#elementsLeft === 0) {
        while (at + 5 <= chunk.length && isOk(chunk, at)) {
          at += 5;
          this.#listener.ok();
        }
        if (at === chunk.length) return;
      }
      const end = chunk.indexOf(lineFeed, at);
      if (end < 0) {
        const rest = chunk.subarray(at);
        this.#held = this.#held === undefined ? Buffer.from(rest) : Buffer.concat([this.#held, rest]);
        return;
      }
      const part = chunk.subarray(at, end);
      const line = this.#held === undefined ? part : Buffer.concat([this.#held, part]);
      this.#held = undefined;
      at = end + 1;
      this.#line(line);
    }
  }

  #line(line: Buffer): void {
    const text = line.toString('latin1', 1, line.at(-1) === 0x0d ? line.length - 1 : line.length);
    switch (line[0]) {
      case plus:
        if (text === 'OK' && this.#elementsLeft === 0) this.#listener.ok();
        else this.#element(undefined, undefined);
        return;
      case minus:
        this.#element(text, undefined);
        return;
      case colon:
        this.#element(undefined, Number(text));
        return;
      case dollar:
        if (Number(text) < 0) this.#element(undefined, undefined);
        else this.#bulkLeft = Number(text) + 2;
        return;
      case asterisk:
        this.#array(Number(text));
        return;
      default:
        throw new Error('what answers does not speak the protocol of Redis');
    }
  }

  #array(elements: number): void {
    if (elements <= 0) this.#element(undefined, undefined);
    else if (this.#elementsLeft === 0) this.#elementsLeft = elements;
    else this.#elementsLeft += elements - 1;
  }

  #element(error: string | undefined, integer: number | undefined): void {
    if (this.#elementsLeft === 0) {
      this.#listener.reply(error, integer);
      return;
    }
    this.#error ??= error;
    if (--this.#elementsLeft > 0) return;
    const first = this.#error;
    this.#error = undefined;
    this.#listener.reply(first, undefined);
  }
}

function isOk(chunk: Buffer, at: number): boolean {
  return chunk[at] === plus && chunk[at + 1] === 0x4f && chunk[at + 2] === 0x4b && chunk[at + 4] === lineFeed;
}
