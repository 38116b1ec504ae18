import type { InstanceContext } from '../../backup/instance-context.ts';
import type { RedisTarget } from '../../redis/connection.ts';
import { type DestructiveCommand, eventOf } from '../follow/destructive.ts';
import type { FollowIO, FollowOptions } from '../follow/follow-options.ts';
import type { PatientStore } from '../follow/patient-store.ts';
import { storeEvent } from '../follow/store-records.ts';
import type { Stretch } from '../follow/stretch.ts';
import type { Telling } from '../follow/telling.ts';
import type { OwnTimelines } from '../follow/tip.ts';
import type { EventName } from '../layout.ts';
import type { EventRecord, TimelineRecord } from '../records.ts';
import type { PrimarySigns } from './primary-watch.ts';
import type { StreamReceiver } from './stream-receiver.ts';
import type { Seam, StreamRun } from './stream-run.ts';
import type { StreamSpool } from './stream-spool.ts';

/** What is held beyond one step: the link to the server, and what came over it. */
export interface StreamSession {
  /** UUID of the instance. */
  readonly identity: string;
  readonly spool: StreamSpool;
  readonly receiver: StreamReceiver;
  /** Where the primary is now. */
  readonly locate: () => Promise<RedisTarget>;
  /** Unix ms, by the server's clock. */
  readonly now: () => number;
}

/** What the parts of the archiving of a stream have in common: for whom they work, and where it is. */
export interface StreamCourse {
  readonly context: InstanceContext;
  readonly io: FollowIO;
  /** `now` is the server's clock. */
  readonly options: FollowOptions;
  readonly session: StreamSession;
  readonly store: PatientStore;
  readonly telling: Telling;
  timeline?: TimelineRecord;
  beginning?: OwnTimelines['beginning'];
  /** What is shipped now. */
  run?: StreamRun;
  stretch?: Stretch;
  /** Seams of the run that are behind what is shipped. */
  readonly crossed: Set<Seam>;
  /** Nothing behind this offset is read yet: it is to be known first where it has to be cut. */
  heldAt?: number;
  lastBase?: { readonly timeline: number; readonly position: number };
  /** Of the server whose bytes are shipped now. */
  signs?: PrimarySigns;
  runId: string;
  /** All before it is in the repository. */
  position: number;
  /** Digest of the last segment. */
  previous: string | null;
  /** When the last shipped byte was seen. */
  lastMs: number;
}

/** What every record of the timeline at hand has. */
export function recordOf({ context, session, timeline }: StreamCourse) {
  return { instance: context.policy.instance, identity: session.identity, timeline: timeline!.timeline };
}

type Event = EventName & Pick<EventRecord, 'until' | 'toMs' | 'command' | 'database' | 'keys' | 'note'>;

export async function recordEvent(course: StreamCourse, event: Event): Promise<void> {
  await course.store.until(() => storeEvent(course.context.repository, { ...recordOf(course), ...event }));
  if (event.kind === 'gap') course.telling.count('gaps');
}

/** @param fileStart position of the offset 0 of the replication history */
export async function recordDestructive(
  course: StreamCourse,
  fileStart: number,
  commands: readonly DestructiveCommand[],
): Promise<void> {
  for (const found of commands) await recordEvent(course, eventOf(fileStart, found));
}
