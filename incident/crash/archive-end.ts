import { findMoment } from '../../archive/read/find-moment.ts';
import type { ArchivePlace } from '../../archive/read/records.ts';
import { namesOf, viewArchive } from '../../archive/read/timelines.ts';
import { RewindError } from '../../errors/rewind-error.ts';

/** How far the archive of an instance goes. */
export interface ArchiveEnd {
  /** When the last of it was seen to be written, ISO 8601. */
  readonly endAt: string;
  /** Of the newest command in it that took away much, where that is after `since`. */
  readonly destroyedAt?: string;
}

/**
 * The end of what can be restored from the archive.
 *
 * @param sinceMs Unix ms: what was destroyed earlier has been lived with since
 * @returns undefined where there is no archive, or nothing of it can be restored
 */
export async function readArchiveEnd(
  place: ArchivePlace,
  sinceMs: number,
  signal: AbortSignal,
): Promise<ArchiveEnd | undefined> {
  try {
    const { timeline, timeMs } = await findMoment(place, { kind: 'latest' }, { signal });
    const { events } = namesOf(await viewArchive(place), timeline);
    const destroyed = events.filter((event) => event.kind === 'destructive' && event.timeMs > sinceMs).at(-1);
    return {
      endAt: new Date(timeMs).toISOString(),
      ...(destroyed ? { destroyedAt: new Date(destroyed.timeMs).toISOString() } : {}),
    };
  } catch (error) {
    // Damage, a gap without a base behind it: a backup is what is left, and `verify --archive` says why.
    if (error instanceof RewindError && error.code.startsWith('ARCHIVE_')) return undefined;
    throw error;
  }
}
