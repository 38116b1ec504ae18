import type { InstanceContext } from '../../backup/instance-context.ts';
import type { TimelineRecord } from '../records.ts';
import { type AofPlace, rememberPlace } from './aof-place.ts';
import type { FileSwitches } from './file-switches.ts';
import type { FollowIO, FollowOptions } from './follow-options.ts';
import type { HeldFile } from './held-files.ts';
import type { ServerSigns } from './server-watch.ts';
import type { Stretch } from './stretch.ts';
import type { OwnTimelines } from './tip.ts';

/** What the parts of a follower have in common: for whom they work, and where it is. */
export interface Course {
  readonly context: InstanceContext;
  readonly io: FollowIO;
  readonly options: FollowOptions;
  /** Ship what is on the disk and end; the server need not answer. */
  readonly tailOnly: boolean;
  place: AofPlace;
  /** Why the place could not be remembered here; absent where it was. */
  unremembered?: string | undefined;
  /** One at a time: they write the same file. */
  remembering?: Promise<void> | undefined;
  /** The same files were followed from here before. */
  readonly knownHere: boolean;
  /** The last answer of the server. */
  signs?: ServerSigns | undefined;
  /** Run id of the server whose file was last compared with what is archived. */
  comparedWith?: string | undefined;
  timeline?: TimelineRecord;
  beginning?: OwnTimelines['beginning'];
  /** What is shipped now; none while it is found out where to go on. */
  stretch?: Stretch | undefined;
  /** The file before the one at hand, as long as nothing of that is shipped. */
  before?: HeldFile | undefined;
  /** All before it is in the repository. */
  position: number;
  /** Digest of the last segment. */
  previous: string | null;
  /** When the last shipped byte was seen. */
  lastMs: number;
}

/** Remembers where the files are, for when the server does not answer. A disk that takes nothing stops no archive. */
export async function remember(course: Course): Promise<void> {
  const { context } = course;
  const write = () => rememberPlace(context.home, context.policy.instance, course.place);
  const writing = (course.remembering ?? Promise.resolve()).then(write).then(
    () => {
      course.unremembered = undefined;
    },
    ({ message }: Error) => {
      course.unremembered = message;
    },
  );
  course.remembering = writing;
  await writing;
}

/** Which file is appended to, and what the server counted meanwhile. */
export async function rememberFile(course: Course, file: HeldFile, switches: FileSwitches): Promise<void> {
  const { place, signs } = course;
  if (!signs?.aofOn) return;
  const { runId, replicationId } = signs;
  const told = switches.appendingTo(file);
  // Counted in an earlier file it says as much: that it was never switched since then.
  const before = place.runId === runId ? place.switches : undefined;
  const now = told?.runId === runId ? told.switches : before;
  if (place.lastFile === file.name && place.runId === runId && before === now) return;
  course.place = { ...place, runId, replicationId, lastFile: file.name, lastSeq: file.seq, switches: now };
  await remember(course);
}

export interface Begun {
  readonly instance: string;
  readonly identity: string;
  readonly timeline: number;
}

/** What every record of the timeline at hand has. */
export function recordOf({ context, place, timeline }: Course): Begun {
  return { instance: context.policy.instance, identity: place.identity, timeline: timeline!.timeline };
}
