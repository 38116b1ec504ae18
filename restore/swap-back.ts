import type { Redis } from 'ioredis';
import { parseInfo } from '../redis/info.ts';

/**
 * Exchanges two databases once more, which undoes a SWAPDB. Doing it twice would undo the undoing: so the caller says how
 * many keys each is to have, and where they have them already nothing is done.
 *
 * @param wanted keys that the first of the two is to have, about
 * @returns whether they were exchanged by this call
 */
export async function swapBack(redis: Redis, [a, b]: readonly [number, number], wanted: number): Promise<boolean> {
  const info = parseInfo(await redis.info('keyspace'));
  const keysIn = (db: number) => Number(/keys=(\d+)/.exec(info[`db${db}`] ?? '')?.[1] ?? 0);
  const [now, other] = [keysIn(a), keysIn(b)];
  if (Math.abs(now - wanted) <= Math.abs(other - wanted)) return false;
  await redis.call('SWAPDB', a, b);
  return true;
}
