import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { RewindError } from '../errors/rewind-error.ts';
import type { LeashedProcess } from './leash.ts';

const pollMs = 25;
const tailBytes = 2_000;

/**
 * Waits until a program that was just started answers. When it ends before that, or takes too long, it is stopped and the error
 * carries the last lines of its log.
 *
 * @param isReady asked again and again until it returns true; what it throws counts as not yet
 * @throws RewindError PROGRAM_NOT_STARTED
 */
export async function untilReady(
  program: LeashedProcess,
  isReady: () => Promise<boolean>,
  options: { timeoutMs: number; logFile?: string },
): Promise<void> {
  const deadline = Date.now() + options.timeoutMs;
  let ended = false;
  program.exited.then(() => {
    ended = true;
  });
  while (!ended && Date.now() < deadline) {
    if (await isReady().catch(() => false)) return;
    await new Promise((settle) => setTimeout(settle, pollMs));
  }
  const why = ended ? 'it ended at once' : `it did not answer within ${options.timeoutMs / 1000} s`;
  const log = options.logFile === undefined ? '' : lastLines(options.logFile);
  await program.stop();
  throw new RewindError('PROGRAM_NOT_STARTED', `${program.name}: ${why}${log === '' ? '' : `. Its log ends: ${log}`}`);
}

/** The last lines of a log, on one line; empty when there is none. */
export function lastLines(logFile: string): string {
  let file: number | undefined;
  try {
    file = openSync(logFile, 'r');
    const start = Math.max(0, fstatSync(file).size - tailBytes);
    const bytes = Buffer.alloc(tailBytes);
    const length = readSync(file, bytes, 0, tailBytes, start);
    return bytes.toString('utf8', 0, length).trim().split('\n').slice(-5).join(' / ');
  } catch {
    return '';
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
