import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplicationPlace } from '../../redis/psync-handshake.ts';
import type { HeldFile } from '../follow/held-files.ts';
import { storeBase } from '../follow/store-records.ts';
import type { BaseRecord } from '../records.ts';
import type { PrimarySigns } from './primary-watch.ts';
import { recordOf, type StreamCourse } from './stream-course.ts';
import type { SpooledDump } from './stream-run.ts';

/** From a base to its record another process takes less. */
const unfinishedBaseMs = 5_000;

/**
 * Stores a dump as a base of the timeline at hand.
 *
 * @returns undefined where an unfinished one stands at the position
 * @throws ARCHIVE_TAKEN_OVER where another one does
 */
export async function storeDump(
  course: StreamCourse,
  dump: Pick<SpooledDump, 'path' | 'open'>,
  { position, timeMs, replication }: { position: number; timeMs: number; replication: ReplicationPlace },
  { name, version, runId }: PrimarySigns,
): Promise<BaseRecord | undefined> {
  const record = {
    ...recordOf(course),
    ...{ position, timeMs },
    server: { name, version, runId, replicationId: replication.replId },
    replication: { id: replication.replId, offset: replication.offset },
  };
  const file = await dump.open();
  try {
    const held = { handle: file, name: dump.path } as HeldFile;
    const { signal } = course.io;
    const store = () => course.store.until(() => storeBase(course.context.repository, held, record, { signal }));
    let stored = await store();
    if (!stored) {
      // Another process may be between a base and its record, or was killed there.
      await sleep(unfinishedBaseMs, undefined, { signal });
      stored = await store();
    }
    if (stored) course.telling.count('bases');
    return stored;
  } finally {
    await file.close();
  }
}
