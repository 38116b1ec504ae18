import type { Redis } from 'ioredis';
import { callsOf, readInfo } from '../redis/info.ts';
import { readJournal, writeJournal } from './journal.ts';

/** What the server had counted before it was asked. */
interface Counted {
  readonly runId: string;
  readonly calls: number;
}

/**
 * Exchanges two databases once more, which undoes a SWAPDB. Doing it twice would undo the undoing, so what the server had
 * counted before is written down first: whoever was killed in between sees by that whether it was done. How many keys each has
 * tells only where it was somebody else, or another process of the server.
 *
 * @param wanted keys that the first of the two is to have, about
 * @param journalPath of this one undoing, the same for each attempt
 * @returns whether they were exchanged by this call
 */
export async function swapBack(
  redis: Redis,
  [a, b]: readonly [number, number],
  wanted: number,
  journalPath: string,
): Promise<boolean> {
  const info = await readInfo(redis, 'everything');
  const keysIn = (db: number) => Number(/keys=(\d+)/.exec(info[`db${db}`] ?? '')?.[1] ?? 0);
  const counted = { runId: info.run_id ?? '', calls: callsOf(info, 'swapdb') };
  const asked = await readJournal<Counted>(journalPath);
  const isSameServer = asked?.runId === counted.runId;
  if (isSameServer && counted.calls > asked.calls) return false;
  const notAsked = isSameServer && counted.calls === asked.calls;
  const [now, other] = [Math.abs(keysIn(a) - wanted), Math.abs(keysIn(b) - wanted)];
  // Alike they say nothing: where nobody here has asked yet, what a person was shown stands.
  if (!notAsked && (now < other || (now === other && asked))) return false;
  await writeJournal(journalPath, counted);
  await redis.call('SWAPDB', a, b);
  return true;
}
