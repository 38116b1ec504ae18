import type * as z from 'zod';
import { RewindError } from '../../errors/rewind-error.ts';
import type { Repository } from '../../repository/repository.ts';
import { baseRecordKey, type EventName, eventKey, timelineKey } from '../layout.ts';
import {
  type BaseRecord,
  baseSchema,
  decodeRecord,
  type EventRecord,
  eventSchema,
  recordBytes,
  type TimelineRecord,
  timelineSchema,
} from '../records.ts';

/** The archive of one instance. */
export interface ArchivePlace {
  readonly repository: Repository;
  readonly instance: string;
}

/** @throws ARCHIVE_RECORD_INVALID, also where a record speaks of another place than its own */
export function readTimeline(place: ArchivePlace, timeline: number): Promise<TimelineRecord> {
  const key = timelineKey(place.instance, timeline);
  // Numbers grow: a parent that is not older would be a circle.
  return readRecord(place, timeline, key, timelineSchema, ({ parent }) => !parent || parent.timeline < timeline);
}

/** @throws ARCHIVE_RECORD_INVALID */
export function readBase(place: ArchivePlace, timeline: number, position: number): Promise<BaseRecord> {
  const key = baseRecordKey(place.instance, timeline, position);
  return readRecord(place, timeline, key, baseSchema, (record) => record.position === position);
}

/** @throws ARCHIVE_RECORD_INVALID */
export function readEvent(place: ArchivePlace, timeline: number, name: EventName): Promise<EventRecord> {
  const key = eventKey(place.instance, timeline, name);
  const { position, kind } = name;
  return readRecord(
    place,
    timeline,
    key,
    eventSchema,
    (record) => record.position === position && record.kind === kind,
  );
}

async function readRecord<Record extends { readonly instance: string; readonly timeline: number }>(
  { repository, instance }: ArchivePlace,
  timeline: number,
  key: string,
  schema: z.ZodType<Record>,
  isOfItsPlace: (record: Record) => boolean,
): Promise<Record> {
  const record = decodeRecord(schema, await repository.readSmall(key, recordBytes), key);
  if (record.instance === instance && record.timeline === timeline && isOfItsPlace(record)) return record;
  throw new RewindError('ARCHIVE_RECORD_INVALID', `${key} cannot be read: it speaks of another place than its own.`);
}
