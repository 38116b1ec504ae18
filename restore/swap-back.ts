import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Redis } from 'ioredis';
import { parseInfo } from '../redis/info.ts';

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
 * @param notePath of this one undoing, the same for each attempt
 * @returns whether they were exchanged by this call
 */
export async function swapBack(
  redis: Redis,
  [a, b]: readonly [number, number],
  wanted: number,
  notePath: string,
): Promise<boolean> {
  const info = parseInfo(await redis.info('everything'));
  const keysIn = (db: number) => Number(/keys=(\d+)/.exec(info[`db${db}`] ?? '')?.[1] ?? 0);
  const counted = { runId: info.run_id ?? '', calls: Number(/calls=(\d+)/.exec(info.cmdstat_swapdb ?? '')?.[1] ?? 0) };
  const asked = await readNote(notePath);
  if (asked?.runId === counted.runId && counted.calls > asked.calls) return false;
  const notAsked = asked?.runId === counted.runId && counted.calls === asked.calls;
  const [now, other] = [Math.abs(keysIn(a) - wanted), Math.abs(keysIn(b) - wanted)];
  // Alike they say nothing: where nobody here has asked yet, what a person was shown stands.
  if (!notAsked && (now < other || (now === other && asked))) return false;
  await writeNote(notePath, counted);
  await redis.call('SWAPDB', a, b);
  return true;
}

async function readNote(path: string): Promise<Counted | undefined> {
  try {
    const { runId, calls } = JSON.parse(await readFile(path, 'utf8')) as Partial<Counted>;
    return typeof runId === 'string' && typeof calls === 'number' ? { runId, calls } : undefined;
  } catch {
    return undefined;
  }
}

async function writeNote(path: string, counted: Counted): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, JSON.stringify(counted), { mode: 0o600 });
  await rename(`${path}.new`, path);
}
