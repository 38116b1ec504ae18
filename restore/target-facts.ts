import type { Redis } from 'ioredis';
import { judgeServer } from '../backup/identity-check.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import { addressOf } from '../redis/connection.ts';
import { memoryFacts } from '../redis/host-memory.ts';
import { infoNumber, readInfo, redisTimeMs, serverVersion } from '../redis/info.ts';
import { readTopology } from '../redis/topology.ts';
import type { IdentityJudgement } from '../repository/judge-identity.ts';

/** What decides whether and how keys can be put into a server. Nothing of it is a key's name or value. */
export interface TargetFacts {
  readonly address: string;
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string; readonly runId: string };
  readonly mode: 'standalone' | 'cluster' | 'sentinel';
  readonly role: 'primary' | 'replica';
  /** Whose replica it is. */
  readonly primary?: string;
  readonly failover: string;
  /** Addresses of the replicas that hang on it. */
  readonly replicas: readonly string[];
  readonly replicationId: string;
  /** Whether it is the instance that the backups are of. */
  readonly identity: IdentityJudgement;
  readonly loading: boolean;
  readonly keys: number;
  readonly keysByDatabase: Readonly<Record<string, number>>;
  /** How many databases it has; undefined where CONFIG is not allowed. */
  readonly databases?: number;
  readonly usedMemoryBytes: number;
  /** 0: no limit. */
  readonly maxMemoryBytes: number;
  /** True where it removes keys by itself when memory is short. */
  readonly evicts: boolean;
  /** Of the host; undefined where the server is on another machine. */
  readonly freeMemoryBytes?: number;
  readonly aof: boolean;
  readonly protoMaxBulkLenBytes: number;
  readonly modules: readonly string[];
  readonly functionLibraries: number;
  /** Keys that have expired since it was started; what expires during a restore is reckoned in by it. */
  readonly expiredKeys?: number;
  /** Its own clock, Unix ms. */
  readonly timeMs: number;
}

/** Redis' own default. */
const DEFAULT_BULK_BYTES = 512 * 1024 * 1024;

/** Asks a server what a restore has to know of it; changes nothing. */
export async function readTargetFacts(redis: Redis, context: InstanceContext): Promise<TargetFacts> {
  const info = await readInfo(redis, 'everything');
  const topology = await readTopology(redis);
  const replicationIds = [info.master_replid, info.master_replid2].filter((id) => id !== undefined);
  const keysByDatabase = Object.fromEntries(
    Object.entries(info).flatMap(([field, value]) => {
      const [, db] = /^db(\d+)$/.exec(field) ?? [];
      return db === undefined ? [] : [[db, Number(/keys=(\d+)/.exec(value)?.[1] ?? 0)]];
    }),
  );
  const onThisMachine = context.policy.source === 'agent';
  return {
    address: addressOf(context.target),
    server: { ...serverVersion(info), runId: info.run_id ?? '' },
    mode: topology.mode,
    role: topology.role,
    primary: topology.primary?.address,
    failover: topology.failover,
    replicas: topology.replicas.map(({ address }) => address),
    replicationId: info.master_replid ?? '',
    identity: await judgeServer(context, replicationIds),
    loading: info.loading === '1' || info.async_loading === '1',
    keys: Object.values(keysByDatabase).reduce((sum, keys) => sum + keys, 0),
    keysByDatabase,
    databases: await setting(redis, 'databases'),
    usedMemoryBytes: infoNumber(info, 'used_memory') ?? 0,
    maxMemoryBytes: infoNumber(info, 'maxmemory') ?? 0,
    evicts: (info.maxmemory_policy ?? 'noeviction') !== 'noeviction',
    freeMemoryBytes: onThisMachine ? (await memoryFacts())?.availableBytes : undefined,
    aof: info.aof_enabled === '1',
    protoMaxBulkLenBytes: (await setting(redis, 'proto-max-bulk-len')) ?? DEFAULT_BULK_BYTES,
    modules: modulesOf(await redis.call('MODULE', 'LIST').catch(() => [])),
    functionLibraries: await functionLibraries(redis),
    expiredKeys: infoNumber(info, 'expired_keys'),
    timeMs: await redisTimeMs(redis),
  };
}

async function setting(redis: Redis, name: string): Promise<number | undefined> {
  const reply = (await redis.config('GET', name).catch(() => [])) as string[];
  return reply[1] === undefined ? undefined : Number(reply[1]);
}

/** MODULE LIST as RESP2 gives it: for each a flat list of names and values. */
function modulesOf(reply: unknown): string[] {
  if (!Array.isArray(reply)) return [];
  return reply.flatMap((module: unknown) => {
    const at = Array.isArray(module) ? module.indexOf('name') : -1;
    return at < 0 ? [] : [String((module as unknown[])[at + 1])];
  });
}

/** None where the server is older than functions (7.0) or does not tell. */
async function functionLibraries(redis: Redis): Promise<number> {
  const reply = await redis.call('FUNCTION', 'LIST').catch(() => []);
  return Array.isArray(reply) ? reply.length : 0;
}
