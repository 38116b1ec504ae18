import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import { addressOf, connectRedis, type RedisTarget } from '../../redis/connection.ts';
import { type Info, infoNumber, keysOf, parseInfo, serverVersion } from '../../redis/info.ts';
import { topologyOf } from '../../redis/topology.ts';
import type { FoundBy, ServerCopy, SilentServer } from './copies.ts';
import { within } from './within.ts';

export interface AskLimits {
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
}

/** Connects with bounded times, also to a server that accepts the connection and answers nothing. */
export async function connectBounded(target: RedisTarget, limits: AskLimits): Promise<Redis> {
  const connected = connectRedis(target, limits);
  try {
    return await within(limits.connectTimeoutMs + 2 * limits.commandTimeoutMs, connected);
  } catch (error) {
    connected.then(
      (redis) => redis.disconnect(),
      () => {},
    );
    if (error instanceof RewindError) throw error;
    throw new RewindError('REDIS_UNREACHABLE', `Redis at ${addressOf(target)} cannot be reached: ${wordsOf(error)}`);
  }
}

/** Asks one server how it stands. Reads only; what it cannot say is an answer too. */
export async function askServer(
  target: RedisTarget,
  foundBy: FoundBy,
  limits: AskLimits,
): Promise<ServerCopy | SilentServer> {
  const address = addressOf(target);
  let redis: Redis | undefined;
  try {
    redis = await connectBounded(target, limits);
    const info = parseInfo(await redis.info());
    if (infoNumber(info, 'loading') === 1) {
      return { address, foundBy, code: 'REDIS_LOADING', reason: 'it is still loading its data' };
    }
    return copyOf(info, address, foundBy, new Date());
  } catch (error) {
    const code = error instanceof RewindError ? error.code : 'REDIS_UNREACHABLE';
    return { address, foundBy, code, reason: wordsOf(error) };
  } finally {
    redis?.disconnect();
  }
}

/** What INFO (its default sections) says, as a copy of the data. */
export function copyOf(info: Info, address: string, foundBy: FoundBy, now: Date): ServerCopy {
  const { mode, role, runId, replication, replicas, primary } = topologyOf(info);
  const downFor = infoNumber(info, 'master_link_down_since_seconds');
  const downForSeconds = downFor !== undefined && downFor >= 0 ? downFor : undefined;
  const ageSeconds = primary ? (primary.up ? (primary.lastHeardSeconds ?? 0) : downForSeconds) : 0;
  const lastSave = infoNumber(info, 'rdb_last_save_time');
  const priority = infoNumber(info, 'slave_priority');
  return {
    address,
    foundBy,
    role,
    mode,
    server: serverVersion(info),
    runId,
    uptimeSeconds: infoNumber(info, 'uptime_in_seconds') ?? 0,
    keys: keysOf(info),
    keysByDatabase: keysByDatabase(info),
    replication,
    ...(primary
      ? {
          follows: {
            address: primary.address,
            up: primary.up,
            synchronizing: primary.synchronizing,
            ...(downForSeconds === undefined ? {} : { downForSeconds }),
          },
        }
      : {}),
    replicas,
    ...(ageSeconds === undefined
      ? {}
      : { ageSeconds, dataAsOf: new Date(now.getTime() - ageSeconds * 1000).toISOString() }),
    ...(lastSave ? { lastSaveAt: new Date(lastSave * 1000).toISOString() } : {}),
    ...(primary && priority !== undefined ? { priority } : {}),
  };
}

/** The Keyspace section as counts by database. */
export function keysByDatabase(info: Info): Record<string, number> {
  const keys: Record<string, number> = {};
  for (const [field, value] of Object.entries(info)) {
    const db = /^db(\d+)$/.exec(field)?.[1];
    const count = Number(/keys=(\d+)/.exec(value)?.[1] ?? 0);
    if (db !== undefined && count > 0) keys[db] = count;
  }
  return keys;
}

export function wordsOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 300);
}
