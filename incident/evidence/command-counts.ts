import type { Redis } from 'ioredis';
import { type Info, infoNumber, parseInfo, redisTimeMs } from '../../redis/info.ts';
import { keysByDatabase } from '../crash/ask-server.ts';
import { deleteCommands, flushCommands, scriptCommands } from './destructive.ts';

/** Counters of one moment; kept, it makes a later reading say what happened in between. Plain data. */
export interface CommandCounts {
  /** Redis' own clock, ISO 8601. */
  readonly at: string;
  readonly runId: string;
  /** Redis' own clock, ISO 8601. */
  readonly startedAt: string;
  readonly calls: Readonly<Record<string, { readonly calls: number; readonly microseconds: number }>>;
  /** CONFIG RESETSTAT has run since the start: counters before it are gone. */
  readonly wasReset: boolean;
  readonly keysByDatabase: Readonly<Record<string, number>>;
  readonly evictedKeys: number;
  readonly expiredKeys: number;
}

const counted = [...flushCommands, ...deleteCommands, ...scriptCommands];

/** Reads INFO and TIME. */
export async function readCommandCounts(redis: Redis): Promise<CommandCounts> {
  const [nowMs, ordinary, commands, clientId] = await Promise.all([
    redisTimeMs(redis),
    redis.info(),
    redis.info('commandstats'),
    redis.call('CLIENT', 'ID').then(Number, () => undefined),
  ]);
  return countsOf({ ...parseInfo(ordinary), ...parseInfo(commands) }, nowMs, clientId);
}

/** @param clientId of our own connection: ids are given in turn and not reset, connections are counted and reset */
export function countsOf(info: Info, nowMs: number, clientId?: number): CommandCounts {
  const calls: Record<string, { calls: number; microseconds: number }> = {};
  for (const command of counted) {
    const stat = statOf(info, command);
    if (stat) calls[command] = stat;
  }
  return {
    at: new Date(nowMs).toISOString(),
    runId: info.run_id ?? '',
    // Whole seconds, rounded down: not before this.
    startedAt: new Date(nowMs - ((infoNumber(info, 'uptime_in_seconds') ?? 0) + 1) * 1000).toISOString(),
    calls,
    wasReset: countersWereReset(info, clientId),
    keysByDatabase: keysByDatabase(info),
    evictedKeys: infoNumber(info, 'evicted_keys') ?? 0,
    expiredKeys: infoNumber(info, 'expired_keys') ?? 0,
  };
}

/** Redis gives a few ids to clients of its own (scripts, loading). */
const OWN_CLIENTS = 64;

/** CONFIG RESETSTAT clears the counters and is then itself counted; before 7.0 that cannot be told from another CONFIG. */
function countersWereReset(info: Info, clientId: number | undefined): boolean {
  if (statOf(info, 'config|resetstat')) return true;
  const connections = infoNumber(info, 'total_connections_received');
  return clientId !== undefined && connections !== undefined && clientId - connections > OWN_CLIENTS;
}

function statOf(info: Info, command: string): { calls: number; microseconds: number } | undefined {
  const [, calls, microseconds] = /^calls=(\d+),usec=(\d+)/.exec(info[`cmdstat_${command}`] ?? '') ?? [];
  return calls === undefined || calls === '0'
    ? undefined
    : { calls: Number(calls), microseconds: Number(microseconds) };
}

export interface CountsSince {
  /** Calls in between (or since the start, or the reset, where there is no earlier reading that counts). */
  readonly calls: Readonly<Record<string, number>>;
  /** From when on these were made, ISO 8601; absent after a reset whose time is not known. */
  readonly since?: string;
  /** Whether the counters began anew in between. */
  readonly began: 'earlier-reading' | 'start' | 'reset';
  /** The server was restarted after the earlier reading: what ran before that is not counted. */
  readonly restarted: boolean;
}

/** What was called between two readings, as far as the counters tell. */
export function callsSince(now: CommandCounts, earlier?: CommandCounts): CountsSince {
  const total = Object.fromEntries(Object.entries(now.calls).map(([name, { calls }]) => [name, calls]));
  const restarted = earlier !== undefined && earlier.runId !== now.runId;
  const fell =
    earlier !== undefined &&
    Object.entries(earlier.calls).some(([name, { calls }]) => (now.calls[name]?.calls ?? 0) < calls);
  if (earlier && !restarted && !fell && (!now.wasReset || earlier.wasReset)) {
    const grown = Object.entries(total).map(
      ([name, calls]) => [name, calls - (earlier.calls[name]?.calls ?? 0)] as const,
    );
    return {
      calls: Object.fromEntries(grown.filter(([, calls]) => calls > 0)),
      since: earlier.at,
      began: 'earlier-reading',
      restarted: false,
    };
  }
  if (now.wasReset || (fell && !restarted)) {
    // The reset came after the earlier reading, and what is counted after it.
    const since = earlier && !restarted && !earlier.wasReset ? earlier.at : undefined;
    return { calls: total, ...(since ? { since } : {}), began: 'reset', restarted };
  }
  return { calls: total, since: now.startedAt, began: 'start', restarted };
}
