import { endOf } from '../read/end-of-timeline.ts';
import type { ArchivePlace } from '../read/records.ts';
import { viewArchive } from '../read/timelines.ts';
import { removeOwnChanges } from './own-change.ts';

/** A day: for a look at what was noticed, and for clocks that are wrong. */
const toBeSureMs = 86_400_000;

/**
 * Removes the notes of changes that cannot matter any more: whoever goes on from the last byte that was archived asks for
 * what was since, and a loss is noticed later than that. Where it is not known when that was, nothing goes.
 *
 * @param afterMs so long before that byte they were over
 * @returns how many changes @throws those of the store and of reading the archive
 */
export async function pruneOwnChanges(place: ArchivePlace, afterMs = toBeSureMs): Promise<number> {
  const view = await viewArchive(place);
  const newest = [...view.timelines.keys()].at(-1);
  const end = newest === undefined ? undefined : await endOf(view, newest);
  if (end?.timeMs === undefined) return 0;
  return removeOwnChanges(place.repository, place.instance, end.timeMs - afterMs);
}
