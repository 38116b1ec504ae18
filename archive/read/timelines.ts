import { RewindError } from '../../errors/rewind-error.ts';
import { readIdentity } from '../../repository/identity.ts';
import { mapBounded } from '../../repository/map-bounded.ts';
import type { EventName } from '../layout.ts';
import type { EventRecord, TimelineRecord } from '../records.ts';
import { type ArchiveNames, listArchive, type TimelineNames } from './listing.ts';
import { type ArchivePlace, readEvent, readTimeline } from './records.ts';

/** Records that are read at once: enough to hide a store's latency, few enough to leave it alone. */
const atOnce = 16;

/** An archive as its names and the records of its timelines show it. */
export interface ArchiveView {
  readonly place: ArchivePlace;
  readonly names: ArchiveNames;
  /** By number, ascending. */
  readonly timelines: ReadonlyMap<number, TimelineRecord>;
}

/** @throws ARCHIVE_RECORD_INVALID; ARCHIVE_FOREIGN where a timeline is of another instance than the backups are */
export async function viewArchive(place: ArchivePlace): Promise<ArchiveView> {
  const [names, known] = await Promise.all([
    listArchive(place.repository, place.instance),
    readIdentity(place.repository, place.instance),
  ]);
  const recorded = [...names.values()].filter((each) => each.recorded).map(({ timeline }) => timeline);
  const records = await mapBounded(recorded, atOnce, (timeline) => readTimeline(place, timeline));
  const foreign = records.find(({ identity }) => known !== undefined && identity !== known.id);
  if (foreign) {
    throw new RewindError(
      'ARCHIVE_FOREIGN',
      `Timeline ${foreign.timeline} in the archive of ${place.instance} is of the instance ${foreign.identity}; its backups are of ${known?.id}.`,
    );
  }
  return { place, names, timelines: new Map(records.map((record) => [record.timeline, record])) };
}

/** Of a timeline that is recorded; one that nothing was stored of yet has no names. */
export function namesOf(view: ArchiveView, timeline: number): TimelineNames {
  const none = { timeline, recorded: true, bases: [], segments: [], hours: [], events: [] };
  return view.names.get(timeline) ?? none;
}

export function readEvents(
  { place }: ArchiveView,
  timeline: number,
  names: readonly EventName[],
): Promise<EventRecord[]> {
  return mapBounded(names, atOnce, (name) => readEvent(place, timeline, name));
}
