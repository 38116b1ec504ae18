import { type OwnChange, ownChangeSince } from '../loss/own-change.ts';
import type { ArchivePlace } from '../read/records.ts';
import type { Continuation } from './where-to-go-on.ts';

/** Bytes are seen a moment after they were written. */
const seenLaterMs = 1_000;

export const notes = {
  restore: 'a restore put other data in its place',
  undo: 'what somebody did to the data was undone',
  adopted: 'a person said that this server is the instance',
} as const;

/** Why the server holds other data since, by the word of this product. @param lastMs when the last archived byte was seen, Unix ms */
export const ownReason = ({ repository, instance }: ArchivePlace, lastMs: number): Promise<OwnChange | undefined> =>
  ownChangeSince(repository, instance, lastMs - seenLaterMs);

/**
 * Where the server holds what does not follow from what is archived because this product changed it, or a person said so by
 * a command of it, a new timeline begins that says it; also where the same process goes on, which else were a gap.
 *
 * @param lastMs when the last byte that is archived was seen, Unix ms
 * @throws those of the store
 */
export async function inOwnWord(
  { repository, instance }: ArchivePlace,
  go: Continuation,
  lastMs: number,
): Promise<Continuation> {
  const broken = (go.how === 'new-timeline' && go.why !== 'promotion') || (go.how === 'from-base' && go.gap);
  if (!broken) return go;
  const why = await ownReason({ repository, instance }, lastMs);
  if (why === undefined) return go;
  const fork = go.how === 'new-timeline' ? go.fork : undefined;
  return { how: 'new-timeline', why, note: notes[why], ...(fork ? { fork } : {}) };
}
