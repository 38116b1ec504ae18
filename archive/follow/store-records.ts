import { RewindError } from '../../errors/rewind-error.ts';
import type { Repository } from '../../repository/repository.ts';
import { unlessTaken } from '../../repository/unless-taken.ts';
import { baseKey, baseRecordKey, eventKey, timelineKey } from '../layout.ts';
import { readBase } from '../read/records.ts';
import {
  ARCHIVE_FORMAT_VERSION,
  type BaseRecord,
  baseSchema,
  type EventRecord,
  encodeRecord,
  eventSchema,
  type TimelineRecord,
  timelineSchema,
} from '../records.ts';
import { digestOfBytes } from './file-tail.ts';
import type { HeldFile } from './held-files.ts';

/** @returns false where another one has begun a timeline of this number */
export async function storeTimeline(
  repository: Repository,
  record: Omit<TimelineRecord, 'formatVersion'>,
): Promise<boolean> {
  const key = timelineKey(record.instance, record.timeline);
  const whole: TimelineRecord = { ...record, formatVersion: ARCHIVE_FORMAT_VERSION };
  return unlessTaken(() => repository.putSmall(key, encodeRecord(timelineSchema, whole, key)));
}

/** Twice the same, also with other figures, is one event: the first stands. */
export async function storeEvent(repository: Repository, record: Omit<EventRecord, 'formatVersion'>): Promise<void> {
  const key = eventKey(record.instance, record.timeline, record);
  const whole: EventRecord = { ...record, formatVersion: ARCHIVE_FORMAT_VERSION };
  await unlessTaken(() => repository.putSmall(key, encodeRecord(eventSchema, whole, key)));
}

/**
 * Stores a base once, its record last.
 *
 * @returns undefined where an agent was killed before the record of another base, which is none without it, at this position
 * @throws ARCHIVE_TAKEN_OVER where another base stands at its position
 */
export async function storeBase(
  repository: Repository,
  file: HeldFile,
  record: Omit<BaseRecord, 'formatVersion' | 'kind' | 'sizeBytes' | 'sha256'>,
  options: { signal: AbortSignal; onProgress?: (done: number, total: number) => void },
): Promise<BaseRecord | undefined> {
  const { instance, timeline, position } = record;
  const key = baseKey(instance, timeline, position);
  const recordKey = baseRecordKey(instance, timeline, position);
  const { size } = await file.handle.stat();
  const sha256 = await digestOfBytes(file.handle, 0, size);
  if (sha256 === undefined) throw new RewindError('UPLOAD_SOURCE_CHANGED', `The base ${file.name} changed its size.`);
  const head = Buffer.alloc(6);
  await file.handle.read(head, 0, head.length, 0);
  const kind = /^(REDIS|VALKEY)/.test(head.toString('latin1')) ? 'rdb' : 'aof';
  const whole: BaseRecord = { ...record, formatVersion: ARCHIVE_FORMAT_VERSION, kind, sizeBytes: size, sha256 };
  const stored = await unlessTaken(() =>
    repository.putFile(
      key,
      { fd: file.handle.fd },
      { sizeBytes: size, signal: options.signal, onProgress: options.onProgress },
    ),
  );
  if (!stored) {
    if (!(await repository.stat(recordKey))) return undefined;
    throw takenOver(`another base stands at ${key}`);
  }
  const written = await unlessTaken(() => repository.putSmall(recordKey, encodeRecord(baseSchema, whole, recordKey)));
  if (!written) {
    const standing = await readBase({ repository, instance }, timeline, position);
    if (standing.sha256 !== sha256) throw takenOver(`another base stands at ${key}`);
  }
  return whole;
}

export function takenOver(what: string): RewindError {
  return new RewindError('ARCHIVE_TAKEN_OVER', `Another agent archives this instance: ${what}.`);
}
