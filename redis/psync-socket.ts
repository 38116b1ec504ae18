import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { RewindError } from '../errors/rewind-error.ts';
import { addressOf, type RedisTarget } from './connection.ts';

/**
 * One raw connection read in order: lines while the handshake lasts, then chunks as they come. The socket is read only
 * when the caller asks, so a slow consumer holds the server back instead of filling this process' memory.
 */
export class PsyncSocket {
  readonly #socket: net.Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #stallTimeoutMs: number;
  readonly #address: string;
  readonly #clock: NodeJS.Timeout;
  #rest: Buffer | undefined;
  #waitingSinceMs: number | undefined;

  private constructor(socket: net.Socket, address: string, stallTimeoutMs: number) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
    this.#address = address;
    this.#stallTimeoutMs = stallTimeoutMs;
    this.#clock = setInterval(() => this.#endWhenStalled(), Math.min(1_000, stallTimeoutMs));
    this.#clock.unref();
    socket.once('close', () => clearInterval(this.#clock));
  }

  /**
   * @param stallTimeoutMs how long the server may stay silent while we wait for it; time that the consumer takes does
   *   not count.
   * @throws the socket's own error, or the signal's reason
   */
  static async open(
    target: RedisTarget,
    options: { connectTimeoutMs: number; stallTimeoutMs: number; signal?: AbortSignal },
  ): Promise<PsyncSocket> {
    options.signal?.throwIfAborted();
    const socket = dial(target);
    // An error is told to whoever reads next; without a listener Node would end the process.
    socket.on('error', () => {});
    const abort = () => socket.destroy(asError(options.signal?.reason));
    options.signal?.addEventListener('abort', abort, { once: true });
    socket.once('close', () => options.signal?.removeEventListener('abort', abort));
    const giveUp = setTimeout(
      () => socket.destroy(new Error(`no answer within ${options.connectTimeoutMs} ms`)),
      options.connectTimeoutMs,
    );
    try {
      await once(socket, socket instanceof tls.TLSSocket ? 'secureConnect' : 'connect');
    } catch (error) {
      socket.destroy();
      throw options.signal?.aborted ? options.signal.reason : error;
    } finally {
      clearTimeout(giveUp);
    }
    socket.setNoDelay(true);
    return new PsyncSocket(socket, addressOf(target), options.stallTimeoutMs);
  }

  /** Sends one command in the form every server accepts from 1.2 on: an array of bulk strings. */
  send(...words: string[]): void {
    const parts = [`*${words.length}\r\n`];
    for (const word of words) parts.push(`$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    this.#socket.write(parts.join(''));
  }

  /** Sends bytes as they are; they are the socket's until they have gone out. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** The next bytes in the order they were sent; undefined when the server has closed the connection. */
  async chunk(): Promise<Buffer | undefined> {
    if (this.#rest) {
      const rest = this.#rest;
      this.#rest = undefined;
      return rest;
    }
    this.#waitingSinceMs = performance.now();
    try {
      const next = await this.#chunks.next();
      return next.done ? undefined : next.value;
    } finally {
      this.#waitingSinceMs = undefined;
    }
  }

  /**
   * One line without its end (`\r\n`, or the bare `\n` that keeps a waiting replica alive: then the line is empty).
   *
   * @param limit bytes after which a line without an end is taken for what it is: not this protocol
   * @throws REDIS_REPLICATION_PROTOCOL, REDIS_DUMP_INTERRUPTED
   */
  async line(limit = 8 * 1024): Promise<string> {
    let held: Buffer = Buffer.alloc(0);
    for (;;) {
      const chunk = await this.chunk();
      if (!chunk) {
        throw new RewindError('REDIS_DUMP_INTERRUPTED', `Redis at ${this.#address} closed the connection.`);
      }
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      const end = held.indexOf(0x0a);
      if (end >= 0 && end <= limit) {
        this.unread(held.subarray(end + 1));
        return held.subarray(0, end > 0 && held[end - 1] === 0x0d ? end - 1 : end).toString('latin1');
      }
      if (held.length > limit) {
        throw new RewindError(
          'REDIS_REPLICATION_PROTOCOL',
          `What answers at ${this.#address} sent ${held.length} bytes without the end of a line.`,
        );
      }
    }
  }

  /** Exactly `length` bytes; for short replies only, they are held in memory. */
  async bytes(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let missing = length; missing > 0; ) {
      const chunk = await this.chunk();
      if (!chunk) {
        throw new RewindError('REDIS_DUMP_INTERRUPTED', `Redis at ${this.#address} closed the connection.`);
      }
      parts.push(chunk.subarray(0, missing));
      if (chunk.length > missing) this.unread(chunk.subarray(missing));
      missing -= Math.min(missing, chunk.length);
    }
    return Buffer.concat(parts);
  }

  /** Puts bytes back in front of what comes next. */
  unread(bytes: Buffer): void {
    if (bytes.length > 0) this.#rest = this.#rest ? Buffer.concat([bytes, this.#rest]) : bytes;
  }

  onClose(listener: () => void): void {
    this.#socket.once('close', listener);
  }

  close(): void {
    this.#socket.destroy();
  }

  #endWhenStalled(): void {
    if (this.#waitingSinceMs === undefined || performance.now() - this.#waitingSinceMs < this.#stallTimeoutMs) return;
    this.#socket.destroy(
      new RewindError(
        'REDIS_DUMP_INTERRUPTED',
        `Redis at ${this.#address} sent nothing for ${Math.round(this.#stallTimeoutMs / 1000)} s.`,
      ),
    );
  }
}

/** Opens a connection, in clear, over TLS or to a unix socket; it is not yet connected. */
export function dial(target: RedisTarget): net.Socket {
  const url = new URL(target.url);
  if (url.protocol === 'unix:') return net.connect({ path: decodeURIComponent(url.pathname) });
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port || 6379);
  if (url.protocol !== 'rediss:') return net.connect({ host, port });
  // RFC 6066 allows names only: an address as server name is refused by Node.
  return tls.connect({ host, port, ...target.tls, ...(net.isIP(host) ? {} : { servername: host }) });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
