import { fstat } from 'node:fs';
import { type FileHandle, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { inspectRdb } from '../rdb/inspect.ts';
import type { RdbInspection } from '../rdb/inspection.ts';
import type { PinnedBytes } from './pin.ts';

/** A dump that is walked while Redis still writes it. Ends with this process; then the pinned bytes are walked. */
interface WalkAhead {
  readonly dev: number;
  readonly ino: number;
  /** Undefined where it came to nothing: whatever is wrong is found again, and judged, on the pinned bytes. */
  readonly inspection: Promise<RdbInspection | undefined>;
  readonly stop: AbortController;
}

const statOf = promisify(fstat);
const walks = new Map<string, WalkAhead>();

/** Begins to walk a file that grows. @param whole settles when nothing more is appended */
export async function beginWalkAhead(backupId: string, file: FileHandle, whole: Promise<unknown>): Promise<void> {
  endWalkAhead(backupId);
  const { dev, ino } = await file.stat();
  const stop = new AbortController();
  const inspection = inspectRdb({ fd: file.fd }, { growsUntil: whole, signal: stop.signal }).catch(() => undefined);
  walks.set(backupId, { dev, ino, inspection, stop });
}

/** What a walk ahead has found, where it was of the very file that is pinned; waits for its end. */
export async function walkedAhead(
  backupId: string,
  bytes: PinnedBytes,
  signal: AbortSignal,
): Promise<RdbInspection | undefined> {
  const walk = walks.get(backupId);
  if (walk === undefined) return undefined;
  signal.addEventListener('abort', () => walk.stop.abort(), { once: true });
  const pinned = await ('path' in bytes ? stat(bytes.path) : statOf(bytes.fd));
  if (pinned.dev !== walk.dev || pinned.ino !== walk.ino) {
    endWalkAhead(backupId);
    return undefined;
  }
  const inspection = await walk.inspection;
  return inspection?.sizeBytes === pinned.size ? inspection : undefined;
}

/** Lets go of it, walked to its end or not. */
export function endWalkAhead(backupId: string): void {
  walks.get(backupId)?.stop.abort();
  walks.delete(backupId);
}
