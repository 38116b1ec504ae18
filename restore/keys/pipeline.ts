import { once } from 'node:events';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import { RewindError } from '../../errors/rewind-error.ts';
import { addressOf, connectionError, type RedisTarget } from '../../redis/connection.ts';
import { dial } from '../../redis/psync-socket.ts';
import { ReplyReader } from './reply-reader.ts';

/** Commands that were sent together, and what comes of them. */
export interface Sent {
  /** Replies that are still to come. */
  left: number;
  /** Bytes that count as under way until the last reply is there. */
  readonly bytes: number;
  /** The reply to the command `number` (from 0) that is not `+OK`. */
  reply(number: number, error: string | undefined, integer: number | undefined): void;
  /** All replies are there. */
  end(): void;
}

interface UnderWay {
  readonly sent: Sent;
  readonly replies: number;
}

const connectTimeoutMs = 10_000;
/** A server that is asked and says nothing for so long is taken for lost: longer than any fork or slow command. */
const silentMs = 120_000;

/** One raw connection over which commands go one after the other without waiting for their replies. */
export class Pipeline {
  readonly #socket: Socket;
  readonly #address: string;
  readonly #underWay: UnderWay[] = [];
  #first = 0;
  #bytesUnderWay = 0;
  #failure: RewindError | undefined;
  #wakers: (() => void)[] = [];
  #db = 0;
  #heardAt = performance.now();
  readonly #clock: NodeJS.Timeout;

  private constructor(socket: Socket, target: RedisTarget) {
    this.#socket = socket;
    this.#address = addressOf(target);
    const replies = new ReplyReader({
      ok: () => this.#reply(undefined, undefined, true),
      reply: (error, integer) => this.#reply(error, integer, false),
    });
    socket.on('data', (chunk) => {
      this.#heardAt = performance.now();
      try {
        replies.feed(chunk);
      } catch (error) {
        this.fail(error instanceof RewindError ? error : this.#lost(error));
      }
      this.#wake();
    });
    socket.on('drain', () => this.#wake());
    socket.on('error', (error) => this.fail(this.#lost(error)));
    socket.on('close', () => this.fail(this.#lost('it closed the connection')));
    this.#clock = setInterval(() => {
      if (this.idle) this.#heardAt = performance.now();
      else if (performance.now() - this.#heardAt > silentMs)
        this.fail(this.#lost(`it said nothing for ${silentMs} ms`));
    }, 1000);
  }

  /** @throws REDIS_UNREACHABLE, REDIS_REFUSED_LOGIN, REDIS_LOADING */
  static async open(target: RedisTarget): Promise<Pipeline> {
    const socket = dial(target);
    const giveUp = setTimeout(
      () => socket.destroy(new Error(`no answer within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    try {
      await once(socket, socket instanceof tls.TLSSocket ? 'secureConnect' : 'connect');
      socket.setNoDelay(true);
      const pipeline = new Pipeline(socket, target);
      await pipeline.#login(target);
      return pipeline;
    } catch (error) {
      socket.on('error', () => {});
      socket.destroy();
      throw connectionError(target, error);
    } finally {
      clearTimeout(giveUp);
    }
  }

  get bytesUnderWay(): number {
    return this.#bytesUnderWay;
  }

  /** Nothing was sent that is not answered. */
  get idle(): boolean {
    return this.#first === this.#underWay.length;
  }

  get failure(): RewindError | undefined {
    return this.#failure;
  }

  /** Selects the database where it is another one than before, and expects `sent.left` replies to `bytes`. */
  send(db: number, bytes: Uint8Array, sent: Sent): void {
    this.select(db);
    this.expect(sent);
    this.write(bytes);
  }

  select(db: number): void {
    if (db === this.#db) return;
    this.#db = db;
    const failed = (error: string) => this.fail(refusal(this.#address, error));
    this.expect({
      left: 1,
      bytes: 0,
      reply: (_number, error) => error !== undefined && failed(error),
      end: () => {},
    });
    this.write(command('SELECT', String(db)));
  }

  expect(sent: Sent): void {
    if (this.idle) this.#heardAt = performance.now();
    this.#underWay.push({ sent, replies: sent.left });
    this.#bytesUnderWay += sent.bytes;
  }

  /** False where the socket has enough: wait for `changed`. */
  write(bytes: Uint8Array): boolean {
    return this.#failure === undefined && this.#socket.write(bytes);
  }

  /** Writes bytes whose memory is used again once they are gone. */
  written(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) reject(this.#failure);
      else this.#socket.write(bytes, (error) => (error ? reject(this.#failure ?? this.#lost(error)) : resolve()));
    });
  }

  /** Settles with the next reply, or when it fails. */
  changed(): Promise<void> {
    if (this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#wakers.push(resolve));
  }

  /** Whoever waits for a change looks again. */
  nudge(): void {
    this.#wake();
  }

  /** No more is sent; the first failure stays. */
  fail(error: RewindError): void {
    this.#failure ??= error;
    this.#wake();
  }

  close(): void {
    clearInterval(this.#clock);
    this.#failure ??= this.#lost('it was left');
    this.#socket.destroy();
  }

  async #login(target: RedisTarget): Promise<void> {
    if (target.password === undefined) return;
    const user = new URL(target.url).username;
    const words = user === '' ? [target.password] : [decodeURIComponent(user), target.password];
    let refused: string | undefined;
    let answered = false;
    this.expect({
      left: 1,
      bytes: 0,
      reply: (_number, error) => {
        refused = error;
      },
      end: () => {
        answered = true;
      },
    });
    this.write(command('AUTH', ...words));
    while (!answered && this.#failure === undefined) await this.changed();
    if (this.#failure !== undefined) throw this.#failure;
    if (refused !== undefined) throw new Error(refused);
  }

  #reply(error: string | undefined, integer: number | undefined, ok: boolean): void {
    const next = this.#underWay[this.#first];
    if (next === undefined) {
      this.fail(this.#lost(error ?? 'it answered what was not asked'));
      return;
    }
    const { sent, replies } = next;
    if (!ok) sent.reply(replies - sent.left, error, integer);
    if (--sent.left > 0) return;
    this.#first++;
    if (this.#first === this.#underWay.length || this.#first === 1024) {
      this.#underWay.splice(0, this.#first);
      this.#first = 0;
    }
    this.#bytesUnderWay -= sent.bytes;
    sent.end();
  }

  #wake(): void {
    const wakers = this.#wakers;
    if (wakers.length === 0) return;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }

  #lost(reason: unknown): RewindError {
    const said = reason instanceof Error ? reason.message : String(reason);
    const message = `The connection to Redis at ${this.#address} was lost while keys were put: ${said}`;
    return new RewindError('RESTORE_TARGET_SILENT', message, { cause: reason instanceof Error ? reason : undefined });
  }
}

export function command(...args: (string | Uint8Array)[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = typeof arg === 'string' ? Buffer.from(arg) : arg;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** What it means that the server refused a command, where that is not about the key. */
export function refusal(address: string, words: string, details: Record<string, unknown> = {}): RewindError {
  const said = { details: { ...details, words } };
  const at = details.offset === undefined ? '' : ` the key at byte ${details.offset} of the dump`;
  if (/^OOM/.test(words)) {
    return new RewindError(
      'RESTORE_TARGET_FULL',
      `Redis at ${address} has no memory left for${at || ' more keys'}: ${words}`,
      said,
    );
  }
  if (/^(READONLY|MISCONF|MASTERDOWN|NOREPLICAS|LOADING|BUSY|CLUSTERDOWN|MOVED|ASK|TRYAGAIN) /.test(words)) {
    return new RewindError('RESTORE_TARGET_REFUSES_WRITES', `Redis at ${address} takes no writes now: ${words}`, said);
  }
  if (/^(NOPERM|NOAUTH)/.test(words)) {
    return new RewindError('RESTORE_TARGET_FORBIDS', `Redis at ${address} does not allow it: ${words}`, said);
  }
  return new RewindError('RESTORE_KEY_REFUSED', `Redis at ${address} refused${at}: ${words}`, said);
}
