/** What becomes of a key's expiry: it stays, is moved by the age of the backup, or goes. */
export type TtlMode = 'keep' | 'shift' | 'drop';

/** Unix ms at which the key is to expire in the live server; -1 for never. Negative times in a dump are times, too. */
export function expiryToPut(expireAtMs: number, ttl: TtlMode, shiftMs: number): number {
  if (expireAtMs === -1 || ttl === 'drop') return -1;
  return ttl === 'shift' ? expireAtMs + shiftMs : expireAtMs;
}
