import { open } from 'node:fs/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import { headerBytes, parseHeader, type RdbMagic } from '../../rdb/magic.ts';

/** What a dump's first nine bytes say. */
export interface DumpFormat {
  readonly magic: RdbMagic;
  readonly version: number;
}

/** @throws RDB_NOT_A_DUMP, RDB_READ_FAILED */
export async function readDumpFormat(path: string): Promise<DumpFormat> {
  const file = await open(path, 'r').catch((cause: Error) => {
    throw new RewindError('RDB_READ_FAILED', `${path} cannot be read: ${cause.message}`, { cause });
  });
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    const format = bytesRead === headerBytes ? parseHeader(buffer, 0) : null;
    if (format === null) throw new RewindError('RDB_NOT_A_DUMP', `${path} does not begin as a dump does.`);
    return format;
  } finally {
    await file.close();
  }
}

/**
 * The newest dump version that each release loads (RDB_VERSION in its rdb.h). A release that is newer than the last one
 * listed loads at least what that one does.
 */
const redisReleases: readonly (readonly [release: number, rdb: number])[] = [
  [5.0, 9],
  [7.0, 10],
  [7.2, 11],
  [7.4, 12],
  [8.4, 13],
];
/** Valkey went on from Redis 7.2 and refuses what Redis wrote after that; its own format begins with 9.0. */
const newestForeignVersion = 11;

/**
 * Why a server cannot load a dump, as the end of a sentence; undefined where nothing speaks against it. Dumps load upward
 * only, and Redis 8 and Valkey 9 refuse each other's.
 */
export function whyNotLoadable(
  dump: DumpFormat,
  server: { readonly name: 'redis' | 'valkey'; readonly version: string },
): string | undefined {
  const written = `${dump.magic}${String(dump.version).padStart(dump.magic === 'REDIS' ? 4 : 3, '0')}`;
  const refuses = (limit: string) => `${server.name} ${server.version} loads dumps ${limit}; this one is ${written}`;
  const release = Number(/^\d+\.\d+/.exec(server.version)?.[0] ?? 0);
  if (server.name === 'valkey') {
    if (dump.magic === 'REDIS')
      return dump.version <= newestForeignVersion ? undefined : refuses('of Redis up to REDIS0011');
    if (release < 9) return refuses('of Redis and Valkey up to REDIS0011');
    return dump.version <= 80 || release > 9.1 ? undefined : refuses('up to VALKEY080');
  }
  if (dump.magic === 'VALKEY') return refuses('of Redis only');
  const [, newest] = redisReleases.findLast(([from]) => release >= from) ?? [0, 0];
  const isNewestKnown = release > redisReleases.at(-1)![0];
  return dump.version <= newest || isNewestKnown ? undefined : refuses(`up to REDIS${String(newest).padStart(4, '0')}`);
}
