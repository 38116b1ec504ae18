import type { Redis } from 'ioredis';

/** One INFO section as the server wrote it. Fields differ by version: read them through {@link infoNumber}. */
export type Info = Readonly<Record<string, string>>;

/** Reads one section of INFO (`everything` for all). */
export async function readInfo(redis: Redis, section: string): Promise<Info> {
  return parseInfo(await redis.info(section));
}

export function parseInfo(text: string): Info {
  const info: Record<string, string> = {};
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) info[line.slice(0, colon)] = line.slice(colon + 1);
  }
  return info;
}

/** A numeric field; undefined where this server does not have it. */
export function infoNumber(info: Info, field: string): number | undefined {
  const value = info[field];
  return value === undefined || value === '' || Number.isNaN(Number(value)) ? undefined : Number(value);
}

/** Keys over all databases, from the Keyspace section (`db0:keys=…`). */
export function keysOf(info: Info): number {
  let keys = 0;
  for (const [field, value] of Object.entries(info)) {
    if (/^db\d+$/.test(field)) keys += Number(/keys=(\d+)/.exec(value)?.[1] ?? 0);
  }
  return keys;
}

/** How often a command was called, from the Commandstats section (`cmdstat_swapdb:calls=…`; a subcommand as `config|set`). */
export function callsOf(info: Info, command: string): number {
  return Number(/calls=(\d+)/.exec(info[`cmdstat_${command}`] ?? '')?.[1] ?? 0);
}

/** The fork and its version: Valkey answers `redis_version:7.2.4` for compatibility beside its own. */
export function serverVersion(info: Info): { name: 'redis' | 'valkey'; version: string } {
  return info.server_name === 'valkey' || info.valkey_version
    ? { name: 'valkey', version: info.valkey_version ?? info.redis_version ?? 'unknown' }
    : { name: 'redis', version: info.redis_version ?? 'unknown' };
}

/** Redis' own clock in milliseconds. A dump's `ctime` is compared with this one only, never with a worker's clock. */
export async function redisTimeMs(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}
