import { createHash } from 'node:crypto';
import { RewindError } from '../../errors/rewind-error.ts';
import { addressOf } from '../../redis/connection.ts';
import type { PutKeysCursor } from './cursor.ts';
import { noFigures, type PutKeysFigures } from './figures.ts';
import type { PutKeysTask } from './put-keys-task.ts';

/** What identifies a restore: of which bytes, into which server since its start, for what. */
export type RestoreIdentity = Pick<PutKeysCursor, 'dumpBytes' | 'magic' | 'version' | 'runId' | 'asked'>;

/** Where to begin. */
export interface ResumePoint {
  readonly offset: number;
  readonly db: number;
  readonly figures: PutKeysFigures;
  readonly namesBytes: number;
  /** A key that is found live before this offset may have been put by an attempt before. */
  readonly doubtUpTo: number;
}

/** Digest of what was asked for: limits are none of it. */
export function askedFor(task: PutKeysTask): string {
  const { selection, ttl, shiftMs, onConflict, functions, by, target } = task;
  const { match, db, keyFile } = selection;
  const asked = [addressOf(target), match, db, keyFile, ttl, shiftMs, onConflict, functions, by];
  return createHash('sha256').update(JSON.stringify(asked)).digest('hex');
}

/**
 * @param given the cursor that the caller has
 * @param kept the cursor beside the list of names
 * @param begunBefore an attempt was made before, whether it left a cursor or not
 * @throws RESTORE_CURSOR_FOREIGN
 */
export function resumePoint(
  now: RestoreIdentity,
  given: PutKeysCursor | undefined,
  kept: PutKeysCursor | undefined,
  begunBefore: boolean,
): ResumePoint {
  if (given !== undefined && !sameDump(given, now)) {
    const message = `the cursor belongs to a dump of ${given.dumpBytes} bytes, this one has ${now.dumpBytes}`;
    throw new RewindError('RESTORE_CURSOR_FOREIGN', message);
  }
  const known = [given, kept].filter((cursor) => cursor !== undefined && sameDump(cursor, now));
  const doubtUpTo =
    known.length === 0 ? (begunBefore ? now.dumpBytes : 0) : Math.max(...known.map((cursor) => cursor!.sentUpTo));
  // A server that was started anew may have lost what it had acknowledged: all is looked at again.
  const usable = known.filter((cursor) => cursor!.runId === now.runId && cursor!.asked === now.asked);
  const best = usable.reduce((a, b) => (a === undefined || b!.offset > a.offset ? b : a), undefined);
  if (best === undefined) return { offset: 0, db: 0, figures: noFigures, namesBytes: 0, doubtUpTo };
  const { offset, db, figures, namesBytes } = best;
  return { offset, db, figures, namesBytes, doubtUpTo };
}

function sameDump(cursor: PutKeysCursor, now: RestoreIdentity): boolean {
  return cursor.dumpBytes === now.dumpBytes && cursor.magic === now.magic && cursor.version === now.version;
}
