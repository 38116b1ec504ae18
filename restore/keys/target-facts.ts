import type { Redis } from 'ioredis';
import { readInfo, redisTimeMs, serverVersion } from '../../redis/info.ts';
import { readSettings } from '../live-settings.ts';
import { versionByRelease } from './payload-version.ts';

/** What has to be known of the live server before keys are sent. */
export interface TargetFacts {
  readonly name: 'redis' | 'valkey';
  readonly version: string;
  /** Another one after each start of the server. */
  readonly runId: string;
  /** The RDB version that its own dumps have. */
  readonly rdbVersion: number;
  /** Function libraries came with 7.0. */
  readonly hasFunctions: boolean;
  /** Its clock less ours, ms. */
  readonly clockAheadMs: number;
  /** Bytes of one argument at most. */
  readonly longestArgument: number;
  /** 0: no limit. */
  readonly maxMemory: number;
}

const defaultLongestArgument = 512 * 1024 * 1024;
const footerBytes = 10;

export async function readTargetFacts(redis: Redis): Promise<TargetFacts> {
  const info = await readInfo(redis, 'server');
  const { name, version } = serverVersion(info);
  const hasFunctions = name === 'valkey' || Number.parseInt(version, 10) >= 7;
  // Settings that a user may not read have their defaults.
  const settings = await readSettings(redis, ['proto-max-bulk-len', 'maxmemory']).catch(
    () => ({}) as Record<string, string>,
  );
  return {
    name,
    version,
    runId: info.run_id ?? '',
    hasFunctions,
    rdbVersion: (hasFunctions ? await askVersion(redis) : undefined) ?? versionByRelease(name, version),
    clockAheadMs: await clockAhead(redis),
    longestArgument: Number(settings['proto-max-bulk-len'] ?? defaultLongestArgument),
    maxMemory: Number(settings.maxmemory ?? (await readInfo(redis, 'memory')).maxmemory ?? 0),
  };
}

/** Its own payloads tell: FUNCTION DUMP makes one without a key and without a write. */
async function askVersion(redis: Redis): Promise<number | undefined> {
  const payload = (await redis.callBuffer('FUNCTION', 'DUMP').catch(() => undefined)) as Buffer | undefined;
  return payload === undefined || payload.length < footerBytes
    ? undefined
    : payload.readUInt16LE(payload.length - footerBytes);
}

/** Of a few tries the one whose answer came quickest is the nearest. */
async function clockAhead(redis: Redis): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  let ahead = 0;
  for (let i = 0; i < 3; i++) {
    const before = Date.now();
    const theirs = await redisTimeMs(redis);
    const after = Date.now();
    if (after - before >= best) continue;
    best = after - before;
    ahead = theirs - (before + after) / 2;
  }
  return ahead;
}
