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
export async function readTimeline({ repository, instance }: ArchivePlace, timeline: number): Promise<TimelineRecord> {
  const key = timelineKey(instance, timeline);
  const record = decodeRecord(timelineSchema, await repository.readSmall(key, recordBytes), key);
  // Numbers grow: a parent that is not older would be a circle.
  const older = record.parent === undefined || record.parent.timeline < timeline;
  if (record.instance !== instance || record.timeline !== timeline || !older) throw elsewhere(key);
  return record;
}

/** @throws ARCHIVE_RECORD_INVALID */
export async function readBase(
  { repository, instance }: ArchivePlace,
  timeline: number,
  position: number,
): Promise<BaseRecord> {
  const key = baseRecordKey(instance, timeline, position);
  const record = decodeRecord(baseSchema, await repository.readSmall(key, recordBytes), key);
  if (record.instance !== instance || record.timeline !== timeline || record.position !== position) {
    throw elsewhere(key);
  }
  return record;
}

/** @throws ARCHIVE_RECORD_INVALID */
export async function readEvent(
  { repository, instance }: ArchivePlace,
  timeline: number,
  name: EventName,
): Promise<EventRecord> {
  const key = eventKey(instance, timeline, name);
  const record = decodeRecord(eventSchema, await repository.readSmall(key, recordBytes), key);
  const same = record.position === name.position && record.kind === name.kind;
  if (record.instance !== instance || record.timeline !== timeline || !same) throw elsewhere(key);
  return record;
}

function elsewhere(key: string): RewindError {
  return new RewindError('ARCHIVE_RECORD_INVALID', `${key} cannot be read: it speaks of another place than its own.`);
}
