import net from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Redis } from 'ioredis';
import type { RedisTarget } from '../../redis/connection.ts';
import { memoryFacts } from '../../redis/host-memory.ts';
import { infoNumber, keysOf, readInfo, serverVersion } from '../../redis/info.ts';
import { readTopology, type Topology } from '../../redis/topology.ts';
import { readSettings } from '../live-settings.ts';

/** What decides whether a server's whole dataset may be replaced over a replication link. */
export interface StreamTargetFacts {
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string };
  readonly topology: Topology;
  readonly loading: boolean;
  readonly keys: number;
  readonly usedMemoryBytes: number;
  /** 0: no limit. */
  readonly maxMemoryBytes: number;
  readonly databases: number;
  readonly modules: readonly string[];
  /** Connections by which Sentinels watch it. */
  readonly sentinels: number;
  /** False where it does not know `repl-diskless-load`, without which old data is gone before new data is there. */
  readonly keepsOldWhileLoading: boolean;
  /** True where this process stands on the same machine, as far as its network can tell. */
  readonly onThisMachine: boolean;
  readonly aof: boolean;
  /** Save points, as CONFIG GET save answers; empty where it never saves by itself. */
  readonly savePoints: string;
  /** Memory that the machine can still give, in bytes; undefined where that cannot be known. */
  readonly availableBytes?: number;
}

/** Reads only. */
export async function readStreamTarget(redis: Redis, target: RedisTarget): Promise<StreamTargetFacts> {
  const info = await readInfo(redis, 'everything');
  const settings = await readSettings(redis, ['databases', 'maxmemory', 'save', 'repl-diskless-load']);
  const modules = (await redis.call('MODULE', 'LIST').catch(() => [])) as unknown[][];
  const clients = String(await redis.client('LIST').catch(() => ''));
  return {
    server: serverVersion(info),
    topology: await readTopology(redis),
    loading: info.loading === '1' || info.async_loading === '1',
    keys: keysOf(info),
    usedMemoryBytes: infoNumber(info, 'used_memory') ?? 0,
    maxMemoryBytes: Number(settings.maxmemory ?? 0),
    databases: Number(settings.databases ?? 16),
    modules: modules.map((fields) => String(fields[1])),
    sentinels: clients.split('\n').filter((line) => / name=sentinel-[0-9a-f]+-cmd /.test(line)).length,
    keepsOldWhileLoading: settings['repl-diskless-load'] !== undefined,
    onThisMachine: await isReachedLocally(target),
    aof: info.aof_enabled === '1',
    savePoints: settings.save ?? '',
    availableBytes: (await memoryFacts())?.availableBytes,
  };
}

/** By a socket file, or by an address that one of this machine's own interfaces has. */
async function isReachedLocally(target: RedisTarget): Promise<boolean> {
  const url = new URL(target.url);
  if (url.protocol === 'unix:') return true;
  const socket = net.connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 6379) });
  const address = await new Promise<string | undefined>((settle) => {
    socket.once('connect', () => settle(socket.remoteAddress));
    socket.once('error', () => settle(undefined));
    socket.setTimeout(5_000, () => settle(undefined));
  });
  socket.destroy();
  const own = Object.values(networkInterfaces()).flatMap((each) => each?.map((one) => one.address) ?? []);
  return address !== undefined && own.includes(address.replace(/^::ffff:/, ''));
}
