import type { ListedObject, Repository } from '../../repository/repository.ts';
import {
  archiveDirectory,
  type EventName,
  type HourName,
  parseBaseRecordKey,
  parseEventKey,
  parseHourKey,
  parseSegmentKey,
  parseTimelineKey,
} from '../layout.ts';

/** What the names alone say of one timeline; each list ascends by position. */
export interface TimelineNames {
  readonly timeline: number;
  /** False for objects of a timeline whose record is not there: nothing of it can be trusted. */
  readonly recorded: boolean;
  readonly bases: readonly BaseName[];
  readonly segments: readonly SegmentName[];
  readonly hours: readonly HourName[];
  readonly events: readonly EventName[];
}

export interface BaseName {
  readonly position: number;
  /** When its record was stored, Unix ms by the store's clock. */
  readonly storedMs: number;
}

export interface SegmentName {
  readonly start: number;
  readonly sizeBytes: number;
  /** Unix ms, by the store's clock. */
  readonly storedMs: number;
}

/** By timeline, ascending. */
export type ArchiveNames = ReadonlyMap<number, TimelineNames>;

type Filling = {
  -readonly [Field in keyof TimelineNames]: TimelineNames[Field] extends readonly (infer Item)[]
    ? Item[]
    : TimelineNames[Field];
};

/** Listed at once: a store gives a thousand names a request, one request after the other. */
const kinds = ['timelines', 'bases', 'segments', 'hours', 'events'] as const;

/**
 * Every name of an instance's archive, from few requests, whatever the number of timelines.
 * Names that no version writes are passed over; where a base or an hour has no record it is not there.
 */
export async function listArchive(repository: Repository, instance: string): Promise<ArchiveNames> {
  const found = new Map<number, Filling>();
  const of = (timeline: number): Filling => {
    let names = found.get(timeline);
    if (!names) {
      names = { timeline, recorded: false, bases: [], segments: [], hours: [], events: [] };
      found.set(timeline, names);
    }
    return names;
  };
  const directory = archiveDirectory(instance);
  const take = ({ key, sizeBytes, modified }: ListedObject): void => {
    const recorded = parseTimelineKey(key, instance);
    if (recorded !== undefined) {
      of(recorded).recorded = true;
      return;
    }
    const [, digits] = /^[a-z]+\/(\d{8})\//.exec(key.slice(directory.length)) ?? [];
    if (digits === undefined) return;
    const timeline = Number(digits);
    const storedMs = modified.getTime();
    const segment = parseSegmentKey(key, instance, timeline);
    const hour = parseHourKey(key, instance, timeline);
    const base = parseBaseRecordKey(key, instance, timeline);
    const event = parseEventKey(key, instance, timeline);
    if (segment !== undefined) of(timeline).segments.push({ start: segment, sizeBytes, storedMs });
    else if (hour) of(timeline).hours.push(hour);
    else if (base !== undefined) of(timeline).bases.push({ position: base, storedMs });
    else if (event) of(timeline).events.push(event);
  };
  await Promise.all(
    kinds.map(async (kind) => {
      for await (const object of repository.list(`${directory}${kind}/`)) take(object);
    }),
  );
  for (const names of found.values()) {
    names.bases.sort((a, b) => a.position - b.position);
    names.segments.sort((a, b) => a.start - b.start);
    names.hours.sort((a, b) => a.start - b.start || b.end - a.end);
    names.events.sort((a, b) => a.position - b.position || a.timeMs - b.timeMs);
  }
  return new Map([...found].sort(([a], [b]) => a - b));
}
