import { isIP } from 'node:net';
import { Redis, type RedisOptions } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';

/** Where a Redis is and how to be let in. `url` never carries a password: it would end in a log. */
export interface RedisTarget {
  /** `redis://user@host:port`, `rediss://…` or `unix:///path/to/socket`. */
  readonly url: string;
  readonly password?: string;
  /** PEM texts, for a private CA or client certificates. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
}

/** What an operator may read of a target: no user, no password. */
export function addressOf(target: Pick<RedisTarget, 'url'>): string {
  const url = new URL(target.url);
  return url.protocol === 'unix:' ? url.pathname : `${url.hostname}:${url.port || 6379}`;
}

/**
 * Connects once and does not reconnect behind the caller's back: a step that loses its server must know it, because the
 * server that comes back may be another one. RESP2 on purpose: replies have the same shape on every server from 5.0 on.
 *
 * @throws REDIS_UNREACHABLE, REDIS_REFUSED_LOGIN
 */
export async function connectRedis(
  target: RedisTarget,
  options: { connectTimeoutMs?: number; commandTimeoutMs?: number } = {},
): Promise<Redis> {
  const redis = new Redis({
    ...endpoint(target),
    protocol: 2,
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    connectionName: 'redis-rewind',
    // CLIENT SETINFO is one more command that the agent's user would have to be allowed.
    disableClientInfo: true,
    connectTimeout: options.connectTimeoutMs ?? 5_000,
    ...(options.commandTimeoutMs ? { commandTimeout: options.commandTimeoutMs } : {}),
  });
  let lastError: Error | undefined;
  redis.on('error', (error: Error) => {
    lastError = error;
  });
  try {
    await redis.connect();
    await redis.ping().catch(unlessItAnswers);
    return redis;
  } catch (error) {
    redis.disconnect();
    throw connectionError(target, error instanceof Error && lastError === undefined ? error : (lastError ?? error));
  }
}

/** A server that refuses writes refuses PING with them, and answers everything that a backup asks. */
function unlessItAnswers(error: Error): void {
  if (!/^(MISCONF|MASTERDOWN|NOREPLICAS)/.test(error.message)) throw error;
}

/** Runs `use` with a connection that is closed whatever happens. */
export async function withRedis<T>(target: RedisTarget, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = await connectRedis(target);
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

function endpoint(target: RedisTarget): RedisOptions {
  const url = new URL(target.url);
  const login = {
    ...(url.username ? { username: decodeURIComponent(url.username) } : {}),
    ...(target.password ? { password: target.password } : {}),
  };
  if (url.protocol === 'unix:') return { path: decodeURIComponent(url.pathname), ...login };
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return {
    host,
    port: Number(url.port || 6379),
    ...login,
    ...(url.protocol === 'rediss:' ? { tls: { ...target.tls, ...(isIP(host) ? {} : { servername: host }) } } : {}),
  };
}

/** Maps what a socket or a server says into an error that names the next step. */
export function connectionError(target: Pick<RedisTarget, 'url'>, error: unknown): RewindError {
  if (error instanceof RewindError) return error;
  const said = error instanceof Error ? error.message : String(error);
  if (/^(WRONGPASS|NOAUTH|NOPERM|ERR AUTH)/.test(said) || /invalid username-password/i.test(said)) {
    return new RewindError('REDIS_REFUSED_LOGIN', `Redis at ${addressOf(target)} refused the login: ${said}`);
  }
  if (said.startsWith('LOADING')) {
    return new RewindError('REDIS_LOADING', `Redis at ${addressOf(target)} is still loading its data.`);
  }
  return new RewindError('REDIS_UNREACHABLE', `Redis at ${addressOf(target)} cannot be reached: ${said}`, {
    cause: error,
  });
}
