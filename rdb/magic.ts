/** The server family that wrote a dump: the same type numbers mean different things by it. */
export type RdbMagic = 'REDIS' | 'VALKEY';

/** The first nine bytes of every dump: `REDIS` and four digits, or (Valkey 9 and newer) `VALKEY` and three. */
export const headerBytes = 9;

/**
 * Newest versions whose types and opcodes are known, if only by name: Redis 8.10 and what will be Valkey 9.2. What Redis
 * 6.2 to 8.2 (to 12) and Valkey 8 and 9 (to 80) write is held by tests on these servers.
 */
export const newestVersion: Readonly<Record<RdbMagic, number>> = { REDIS: 15, VALKEY: 81 };

/** Reads the nine bytes of a header; null where they are not one. */
export function parseHeader(bytes: Uint8Array, start: number): { magic: RdbMagic; version: number } | null {
  const text = String.fromCharCode(...bytes.subarray(start, start + headerBytes));
  const match = /^(?:(REDIS)(\d{4})|(VALKEY)(\d{3}))$/.exec(text);
  if (match === null) return null;
  const magic = (match[1] ?? match[3]) as RdbMagic;
  return { magic, version: Number(match[2] ?? match[4]) };
}
