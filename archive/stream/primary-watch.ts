import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import { connectRedis, type RedisTarget } from '../../redis/connection.ts';
import { infoNumber, parseInfo } from '../../redis/info.ts';
import { type ServerSigns, signsIn } from '../follow/server-watch.ts';

/** What a server says of itself, as far as its stream is archived. */
export interface PrimarySigns extends ServerSigns {
  /** How far its history is that of `previousId`: behind this offset it is its own. */
  readonly previousUpTo?: number;
  /** It goes on from this offset at the earliest; absent where it keeps no backlog. */
  readonly backlogFrom?: number;
  /** When its process began at the latest, Unix ms by its own clock. */
  readonly startedMs: number;
  /** It ends once every replica has all, or `shutdown-timeout` is over (Redis 7.0 and newer). */
  readonly shuttingDown: boolean;
  /** Where it was asked: `redis://…`. */
  readonly url: string;
}

/** From an INFO without sections. @param nowMs where the server is too old to say what time it is there */
export function primarySigns(text: string, url: string, nowMs: number): PrimarySigns {
  const info = parseInfo(text);
  const previousUpTo = infoNumber(info, 'second_repl_offset');
  const backlogFrom = infoNumber(info, 'repl_backlog_first_byte_offset');
  const serverMs = serverTimeMs(text, nowMs);
  return {
    ...signsIn(text),
    // Redis counts the first byte that is not, from 1.
    ...(previousUpTo === undefined || previousUpTo < 1 ? {} : { previousUpTo: previousUpTo - 1 }),
    ...(info.repl_backlog_active === '1' && backlogFrom !== undefined ? { backlogFrom: backlogFrom - 1 } : {}),
    // Both are whole seconds of its clock: it may have begun at the end of that one.
    startedMs: (Math.floor(serverMs / 1_000) - (infoNumber(info, 'uptime_in_seconds') ?? 0)) * 1_000 + 999,
    shuttingDown: info.shutdown_in_milliseconds !== undefined,
    url,
  };
}

const serverTimeMs = (text: string, nowMs: number): number =>
  Math.floor((infoNumber(parseInfo(text), 'server_time_usec') ?? nowMs * 1_000) / 1_000);

/** The server's clock is known as exactly as the quickest of so many answers. */
const samples = 16;

/** One connection to the server whose stream is archived: who is it, and what time is it there? */
export class PrimaryWatch {
  readonly #now: () => number;
  #redis: Redis | undefined;
  #url = '';
  #dialledAt = 0;
  /** One question after the other: there is one connection. */
  #last: Promise<unknown> = Promise.resolve();
  /** The server's clock against this process' steady one. */
  #offsets: { roundTripMs: number; offsetMs: number }[] = [];
  readonly #clockStepMs: number;
  readonly #redialMs: number;
  readonly #onClockStep: (fromMs: number, toMs: number) => void;

  constructor(options: {
    now: () => number;
    clockStepMs: number;
    /** A connection is used for so long: an address may have moved on to another server, which only a new one shows. */
    redialMs: number;
    onClockStep: (fromMs: number, toMs: number) => void;
  }) {
    this.#now = options.now;
    this.#clockStepMs = options.clockStepMs;
    this.#redialMs = options.redialMs;
    this.#onClockStep = options.onClockStep;
  }

  /** Unix ms by the server's clock; by this machine's before it was asked. */
  now(): number {
    const [best] = this.#offsets.toSorted((a, b) => a.roundTripMs - b.roundTripMs);
    return best ? Math.floor(performance.now() + best.offsetMs) : this.#now();
  }

  /** Undefined where it does not answer now: down, loading, full. @throws REDIS_REFUSED_LOGIN */
  ask(target: RedisTarget): Promise<PrimarySigns | undefined> {
    const answer = this.#last.then(() => this.#ask(target));
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  async #ask(target: RedisTarget): Promise<PrimarySigns | undefined> {
    try {
      const other = this.#url !== target.url;
      if (other || performance.now() - this.#dialledAt > this.#redialMs) this.close();
      if (!this.#redis) {
        this.#redis = await connectRedis(target, { commandTimeoutMs: 10_000 });
        this.#dialledAt = performance.now();
      }
      this.#url = target.url;
      const sentAt = performance.now();
      // Several sections at once are asked of Redis 7.0 and newer only.
      const text = String(await this.#redis.info());
      const answeredAt = performance.now();
      this.#learnClock(serverTimeMs(text, this.#now()), sentAt, answeredAt, other);
      return primarySigns(text, target.url, this.#now());
    } catch (error) {
      this.close();
      if (error instanceof RewindError && error.code === 'REDIS_REFUSED_LOGIN') throw error;
      if (error instanceof Error && /^NOPERM/.test(error.message)) {
        throw new RewindError('REDIS_REFUSED_LOGIN', `The archive needs INFO: ${error.message}`);
      }
      return undefined;
    }
  }

  close(): void {
    this.#redis?.disconnect();
    this.#redis = undefined;
  }

  #learnClock(serverMs: number, sentAt: number, answeredAt: number, other: boolean): void {
    const roundTripMs = answeredAt - sentAt;
    const expected = this.now();
    const known = this.#offsets.length > 0;
    const offsetMs = serverMs - (sentAt + answeredAt) / 2;
    const stepped = known && Math.abs(performance.now() + offsetMs - expected) > this.#clockStepMs + roundTripMs;
    if (stepped || other) this.#offsets = [];
    this.#offsets = [...this.#offsets.slice(1 - samples), { roundTripMs, offsetMs }];
    if (stepped) this.#onClockStep(expected, this.now());
  }
}
