import { RewindError } from '../errors/rewind-error.ts';
import { addressOf, connectionError, type RedisTarget } from './connection.ts';
import { login } from './psync-handshake.ts';
import { PsyncSocket } from './psync-socket.ts';
import { ReplyReader } from './reply-reader.ts';

/** Is told of a reply, which is valid only during the call. */
export type OnReply<Context> = (reply: ReplyReader, context: Context) => void;

/** What goes out at once at most, unless one command is longer. */
const flushBytes = 64 * 1024;

/**
 * Commands one after the other down one connection without waiting for answers, which come back in the same order.
 * For many small commands: nothing is allocated for one, and an answer is read where it arrived. How much may be under
 * way at once is the caller's to limit.
 */
export class CommandPipe {
  readonly #socket: PsyncSocket;
  readonly #target: RedisTarget;
  readonly #signal: AbortSignal | undefined;
  readonly #replies = new ReplyReader();
  #room = Buffer.allocUnsafe(2 * flushBytes);
  #used = 0;
  /** Who waits for which answer, in order, from `#head` on. */
  #waiting: { onReply: OnReply<never>; context: unknown }[] = [];
  #head = 0;
  #failed: Error | undefined;
  #onFail: (error: Error) => void = () => {};

  private constructor(socket: PsyncSocket, target: RedisTarget, signal: AbortSignal | undefined) {
    this.#socket = socket;
    this.#target = target;
    this.#signal = signal;
  }

  /** @throws REDIS_UNREACHABLE, REDIS_REFUSED_LOGIN; the signal's reason */
  static async open(target: RedisTarget, signal?: AbortSignal): Promise<CommandPipe> {
    // Silence is no stall where nothing was asked: who asks gives up on an answer.
    const timeouts = { connectTimeoutMs: 5_000, stallTimeoutMs: Number.MAX_SAFE_INTEGER };
    let socket: PsyncSocket | undefined;
    try {
      socket = await PsyncSocket.open(target, { ...timeouts, signal });
      await login(socket, target);
    } catch (error) {
      socket?.close();
      signal?.throwIfAborted();
      throw connectionError(target, error);
    }
    const pipe = new CommandPipe(socket, target, signal);
    void pipe.#pump();
    return pipe;
  }

  /** Called once, when the connection is gone: no answer comes any more. */
  onFail(listener: (error: Error) => void): void {
    this.#onFail = listener;
    if (this.#failed) listener(this.#failed);
  }

  /** Why no answer comes any more. */
  get failure(): Error | undefined {
    return this.#failed;
  }

  /** Puts a command in line. It goes out with others; `flush` sees to the last, and to what is sent outside of an answer. */
  send<Context>(args: readonly (Buffer | string)[], onReply: OnReply<Context>, context: Context): void {
    if (this.#failed) return;
    this.#waiting.push({ onReply: onReply as OnReply<never>, context });
    this.#frame(0x2a, args.length);
    for (const arg of args) {
      this.#frame(0x24, arg.length);
      this.#reserve(arg.length + 2);
      if (typeof arg === 'string') this.#room.write(arg, this.#used, 'latin1');
      else this.#room.set(arg, this.#used);
      this.#used += arg.length;
      this.#room[this.#used++] = 0x0d;
      this.#room[this.#used++] = 0x0a;
    }
    if (this.#used >= flushBytes) this.flush();
  }

  flush(): void {
    if (this.#used === 0 || this.#failed) return;
    // The socket has it until it is written; the room is filled again at once.
    this.#socket.write(Buffer.from(this.#room.subarray(0, this.#used)));
    this.#used = 0;
  }

  close(): void {
    const address = addressOf(this.#target);
    this.#failed ??= new RewindError('REDIS_UNREACHABLE', `The connection to Redis at ${address} was closed.`);
    this.#socket.close();
  }

  async #pump(): Promise<void> {
    try {
      for (;;) {
        const chunk = await this.#socket.chunk();
        if (chunk === undefined) {
          throw new Error('it closed the connection');
        }
        this.#replies.push(chunk);
        while (this.#replies.read()) {
          const { onReply, context } = this.#waiting[this.#head]!;
          this.#advance();
          onReply(this.#replies, context as never);
        }
        this.flush();
      }
    } catch (error) {
      const first = this.#failed === undefined;
      this.#failed ??= this.#signal?.aborted ? this.#signal.reason : connectionError(this.#target, error);
      this.#socket.close();
      if (first) this.#onFail(this.#failed as Error);
    }
  }

  #advance(): void {
    this.#head++;
    if (this.#head < 4096 && this.#head < this.#waiting.length) return;
    this.#waiting = this.#waiting.slice(this.#head);
    this.#head = 0;
  }

  /** `*3\r\n`, `$11\r\n`. */
  #frame(kind: number, count: number): void {
    this.#reserve(16);
    this.#room[this.#used++] = kind;
    if (count < 10) this.#room[this.#used++] = 0x30 + count;
    else this.#used += this.#room.write(String(count), this.#used, 'latin1');
    this.#room[this.#used++] = 0x0d;
    this.#room[this.#used++] = 0x0a;
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#room.length) return;
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#room.length, this.#used + bytes));
    this.#room.copy(grown, 0, 0, this.#used);
    this.#room = grown;
  }
}
