import type { RdbMagic } from '../../rdb/magic.ts';

/** The newest version before the forks went apart: what both read alike has at most this one. */
const lastCommon = 11;
const firstOfValkey = 80;

/**
 * The RDB version to write into a RESTORE payload's footer. A server refuses one that is newer than its own, and Valkey
 * 9 those that only Redis writes (12 to 79); what it makes of the body it decides by the type byte.
 *
 * @param dump of the file that the value is cut out of
 * @param targetVersion the server's own RDB version
 */
export function payloadVersion(dump: { magic: RdbMagic; version: number }, targetVersion: number): number {
  const foreign = targetVersion >= firstOfValkey !== dump.version >= firstOfValkey && dump.version > lastCommon;
  if (!foreign && dump.version <= targetVersion) return dump.version;
  return Math.min(targetVersion, lastCommon);
}

/** The RDB version that a server writes, where it cannot be asked: FUNCTION DUMP, which answers it, came with 7.0. */
export function versionByRelease(name: 'redis' | 'valkey', release: string): number {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10) || 0);
  if (name === 'valkey') return major >= 9 ? 80 : 11;
  if (major >= 8 || (major === 7 && minor >= 4)) return 12;
  if (major === 7) return minor >= 2 ? 11 : 10;
  if (major >= 5) return 9;
  if (major === 4) return 8;
  return major === 3 && minor >= 2 ? 7 : 6;
}
