import { RewindError } from '../../errors/rewind-error.ts';
import type { SegmentHeader } from '../segment.ts';
import type { Boundary } from './file-tail.ts';
import { LookAgain } from './look-again.ts';
import type { PatientStore } from './patient-store.ts';
import type { SegmentMaker } from './ready-segment.ts';
import type { Stretch } from './stretch.ts';
import type { Telling } from './telling.ts';

/** So long one attempt to store a segment may take, whatever its size. */
const patienceMs = 600_000;

/** How far an archive is: moved on with each segment that is stored. */
export interface ShippedSoFar {
  /** All before it is in the repository. */
  position: number;
  /** Digest of the last segment. */
  previous: string | null;
  /** When the last shipped byte was seen. */
  lastMs: number;
}

/**
 * Stores what of a stretch lies before `end` as the next segment.
 *
 * @param about.collided what it means that other bytes stand there already
 * @throws LookAgain where the file has no such bytes any more
 */
export async function shipSegment(
  stretch: Stretch,
  end: Boundary,
  soFar: ShippedSoFar,
  about: Pick<SegmentHeader, 'instance' | 'identity' | 'timeline' | 'runId'> & { readonly now: () => number },
  by: {
    readonly segments: SegmentMaker;
    readonly store: PatientStore;
    readonly telling: Telling;
    readonly collided: (key: string) => Error;
  },
): Promise<void> {
  const { from, fileStart, marks, file } = stretch;
  const { now, ...begun } = about;
  const stamps = stretch.stampsUpTo(end.offset);
  const known = marks.upToEnd(end.offset);
  const seen = known.length > 0 ? known : [[now(), end.offset] as const];
  const times = seen.map(([ms]) => ms);
  const ready = await by.segments.ready(file, {
    ...begun,
    start: fileStart + from.offset,
    end: fileStart + end.offset,
    file: { name: file.name, offset: from.offset },
    db: from.db,
    commands: end.commands - from.commands,
    firstMs: Math.min(...times),
    lastMs: Math.max(...times),
    marks: seen.map(([ms, upTo]) => [ms, fileStart + upTo]),
    ...(stamps ? { stamps } : {}),
    previous: soFar.previous,
    ...(from.transactionAt === undefined ? {} : { transactionAt: fileStart + from.transactionAt }),
  });
  if (!ready) throw new LookAgain();
  await by.store
    .until(() => ready.store(AbortSignal.timeout(patienceMs)))
    .catch((error) => {
      throw error instanceof RewindError && error.code === 'OBJECT_EXISTS' ? by.collided(ready.key) : error;
    });
  const { header } = ready;
  stretch.shipped(end);
  soFar.previous = ready.digest;
  soFar.position = header.end;
  soFar.lastMs = header.lastMs;
  by.telling.count('segments');
  by.telling.count('shippedBytes', header.end - header.start);
}
