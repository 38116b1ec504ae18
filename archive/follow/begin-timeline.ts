import type { Repository } from '../../repository/repository.ts';
import { ARCHIVE_FORMAT_VERSION, type TimelineRecord } from '../records.ts';
import { LookAgain } from './look-again.ts';
import type { PatientStore } from './patient-store.ts';
import { storeTimeline } from './store-records.ts';

/** New timelines leave so much room that an agent which does not know of them yet gives no position twice. */
const timelineStride = 2 ** 30;

/** Where a timeline begins that leaves another one which ends at `position`. */
export const startBehind = (position: number): number => (Math.floor(position / timelineStride) + 1) * timelineStride;

/** Fields that may be there without a value. */
type Optional = 'note' | 'parent' | 'file';
export type NewTimeline = Omit<TimelineRecord, 'formatVersion' | Optional> & {
  readonly [field in Optional]?: TimelineRecord[field] | undefined;
};

/** @throws LookAgain where another one was first, or this very agent before it was killed: what stands there is looked at anew */
export async function beginTimeline(
  store: PatientStore,
  repository: Repository,
  { note, parent, file, ...begin }: NewTimeline,
): Promise<TimelineRecord> {
  const record: TimelineRecord = {
    formatVersion: ARCHIVE_FORMAT_VERSION,
    ...begin,
    ...(note === undefined ? {} : { note }),
    ...(parent ? { parent } : {}),
    ...(file ? { file } : {}),
  };
  if (!(await store.until(() => storeTimeline(repository, record)))) throw new LookAgain();
  return record;
}
