import type { Redis } from 'ioredis';
import { infoNumber, keysOf, readInfo, redisTimeMs, serverVersion } from '../redis/info.ts';
import { readTopology, type Topology } from '../redis/topology.ts';

/** What a Redis says of itself, as far as its backups depend on it. Undefined where the user may not ask. */
export interface RedisFacts {
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string };
  readonly topology: Topology;
  /** Redis' clock less the observer's, in milliseconds. */
  readonly clockSkewMs: number;
  readonly keys: number;
  readonly memory: { readonly usedBytes: number; readonly datasetBytes: number; readonly rssBytes: number };
  readonly persistence: PersistenceFacts;
  readonly replication?: ReplicationFacts;
  /** Redis' own switch against transparent huge pages. */
  readonly disablesHugePages?: boolean;
  readonly modules?: readonly string[];
  readonly dump?: { readonly dir: string; readonly dbfilename: string };
  readonly logFile?: string;
}

/** What Redis keeps for those who read its stream, in bytes. */
export interface ReplicationFacts {
  readonly backlogBytes?: number;
  /** Of what one of them has not read yet (hard limit); 0: none. */
  readonly replicaBufferLimit?: number;
}

export interface PersistenceFacts {
  readonly appendOnly: boolean;
  /** `3600 1 300 100`; empty: none. */
  readonly savePoints?: string;
  readonly stopsWritesOnSaveError?: boolean;
  readonly writesChecksum?: boolean;
  readonly lastSave: 'ok' | 'err';
  readonly lastAppend: 'ok' | 'err';
  /** `#TS` annotations; undefined before Redis 7.0. */
  readonly appendStamps?: boolean;
  readonly appendFsync?: string;
}

export async function readRedisFacts(redis: Redis): Promise<RedisFacts> {
  const info = await readInfo(redis, 'everything');
  const topology = await readTopology(redis);
  const before = Date.now();
  const redisNow = await redisTimeMs(redis);
  const clockSkewMs = Math.round(redisNow - (before + Date.now()) / 2);
  const value = (name: string) => configValue(redis, name);
  const [dir, dbfilename] = [await value('dir'), await value('dbfilename')];
  return {
    server: serverVersion(info),
    topology,
    clockSkewMs,
    keys: keysOf(info),
    memory: {
      usedBytes: infoNumber(info, 'used_memory') ?? 0,
      datasetBytes: infoNumber(info, 'used_memory_dataset') ?? 0,
      rssBytes: infoNumber(info, 'used_memory_rss') ?? 0,
    },
    persistence: {
      appendOnly: info.aof_enabled === '1',
      savePoints: await value('save'),
      stopsWritesOnSaveError: yes(await value('stop-writes-on-bgsave-error')),
      writesChecksum: yes(await value('rdbchecksum')),
      lastSave: info.rdb_last_bgsave_status === 'err' ? 'err' : 'ok',
      lastAppend: info.aof_last_write_status === 'err' ? 'err' : 'ok',
      appendStamps: yes(await value('aof-timestamp-enabled')),
      appendFsync: await value('appendfsync'),
    },
    replication: {
      backlogBytes: infoNumber(info, 'repl_backlog_size'),
      replicaBufferLimit: replicaLimit(await value('client-output-buffer-limit')),
    },
    disablesHugePages: yes(await value('disable-thp')),
    modules: await moduleNames(redis),
    dump: dir && dbfilename ? { dir, dbfilename } : undefined,
    logFile: (await value('logfile')) || undefined,
  };
}

const yes = (value: string | undefined): boolean | undefined => (value === undefined ? undefined : value === 'yes');

/** `normal 0 0 0 slave 268435456 67108864 60 pubsub …` */
function replicaLimit(limits: string | undefined): number | undefined {
  const limit = /\b(?:slave|replica) (\d+)/.exec(limits ?? '')?.[1];
  return limit === undefined ? undefined : Number(limit);
}

/** Undefined where CONFIG is not allowed, or this server has no such setting. */
async function configValue(redis: Redis, name: string): Promise<string | undefined> {
  const reply = (await redis.config('GET', name).catch(() => [])) as string[];
  return reply[1];
}

async function moduleNames(redis: Redis): Promise<string[] | undefined> {
  const reply = (await redis.call('MODULE', 'LIST').catch(() => undefined)) as unknown[][] | undefined;
  return reply?.map((fields) => String(fields[fields.indexOf('name') + 1]));
}
