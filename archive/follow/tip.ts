import { RewindError } from '../../errors/rewind-error.ts';
import type { Repository } from '../../repository/repository.ts';
import {
  basesDirectory,
  type EventName,
  eventsDirectory,
  hoursDirectory,
  parseBaseRecordKey,
  parseEventKey,
  parseHourKey,
  parseSegmentKey,
  parseTimelineKey,
  segmentKey,
  segmentsDirectory,
  timelinesDirectory,
} from '../layout.ts';
import { readEvent, readTimeline } from '../read/records.ts';
import type { TimelineRecord } from '../records.ts';
import type { SegmentHeader } from '../segment.ts';
import { readStoredHeader } from '../stored-header.ts';
import { takenOver } from './store-records.ts';

/** How far the archive of an instance goes: all that a follower has to know of it, from any machine. */
export interface Tip {
  /** The newest one. */
  readonly timeline: TimelineRecord;
  /** Behind all that the timeline knows of: segments, gaps, bases. */
  readonly position: number;
  /** Its last segment; absent before the first. */
  readonly last?: { readonly header: SegmentHeader; readonly digest: string };
  /** Something stands between the last segment and `position`: nothing goes on from that segment any more. */
  readonly behindGap: boolean;
  /** Positions of the bases on it. */
  readonly bases: ReadonlySet<number>;
}

/**
 * Reads it from names, one record and one header.
 *
 * @returns undefined where nothing was ever archived
 * @throws ARCHIVE_FOREIGN, ARCHIVE_RECORD_INVALID, ARCHIVE_SEGMENT_DAMAGED
 */
export async function readTip(repository: Repository, instance: string, identity: string): Promise<Tip | undefined> {
  const newest = await newestTimeline(repository, instance);
  if (newest === undefined) return undefined;
  const timeline = await readTimeline({ repository, instance }, newest);
  if (timeline.identity !== identity) {
    throw new RewindError(
      'ARCHIVE_FOREIGN',
      `The archive of ${instance} in ${repository.url} is of the instance ${timeline.identity}; its backups are of ${identity}.`,
    );
  }
  const [segments, bases, hours, gapEnd] = await Promise.all([
    positions(repository, segmentsDirectory(instance, newest), (name) => parseSegmentKey(name, instance, newest)),
    positions(repository, basesDirectory(instance, newest), (name) => parseBaseRecordKey(name, instance, newest)),
    positions(repository, hoursDirectory(instance, newest), (name) => parseHourKey(name, instance, newest)?.end),
    endOfLastGap(repository, instance, newest),
  ]);
  const start = segments.at(-1);
  const last =
    start === undefined ? undefined : await readStoredHeader(repository, segmentKey(instance, newest, start));
  const end = last?.header.end ?? timeline.start;
  const position = Math.max(end, gapEnd, bases.at(-1) ?? 0, hours.at(-1) ?? 0);
  return { timeline, position, ...(last ? { last } : {}), behindGap: position > end, bases: new Set(bases) };
}

async function newestTimeline(repository: Repository, instance: string): Promise<number | undefined> {
  return (await positions(repository, timelinesDirectory(instance), (name) => parseTimelineKey(name, instance))).at(-1);
}

/** What an agent knows of its own timelines: the one at hand, and the last that it asked the store to begin. */
export interface OwnTimelines {
  timeline?: TimelineRecord;
  /** The store may have it already, whatever it has answered. */
  beginning?: Pick<TimelineRecord, 'timeline' | 'startedMs' | 'server'>;
}

/** Of two agents the one whose timeline another has left behind stops. @throws ARCHIVE_TAKEN_OVER */
export async function refuseRival(repository: Repository, instance: string, own: OwnTimelines): Promise<void> {
  // A store that does not answer tells nothing of rivals.
  const newest = (await newestTimeline(repository, instance).catch(() => undefined)) ?? 0;
  // Looked at now: it may have begun one while the store was asked.
  if (newest > Math.max(own.timeline?.timeline ?? 0, own.beginning?.timeline ?? 0)) {
    throw takenOver(`it has begun the timeline ${newest}`);
  }
}

/** The same where all is found out anew: one that the store took from this agent, its answer lost, is no rival's. */
export function refuseOther({ timeline: there }: Tip, { timeline, beginning }: OwnTimelines): void {
  if (!timeline || there.timeline <= timeline.timeline) return;
  const { startedMs, server } = there;
  const isOwn =
    beginning?.timeline === there.timeline &&
    beginning.startedMs === startedMs &&
    beginning.server.runId === server.runId;
  if (!isOwn) throw takenOver(`it has begun the timeline ${there.timeline} for the server ${server.runId}`);
}

/** Ascending. */
export async function positions(
  repository: Repository,
  directory: string,
  parse: (key: string) => number | undefined,
): Promise<number[]> {
  const found: number[] = [];
  for await (const { key } of repository.list(directory)) {
    const position = parse(key);
    if (position !== undefined) found.push(position);
  }
  return found.sort((a, b) => a - b);
}

async function endOfLastGap(repository: Repository, instance: string, timeline: number): Promise<number> {
  let newest: EventName | undefined;
  for await (const { key } of repository.list(eventsDirectory(instance, timeline))) {
    const name = parseEventKey(key, instance, timeline);
    if (name?.kind === 'gap' && name.position >= (newest?.position ?? 0)) newest = name;
  }
  if (newest === undefined) return 0;
  const gap = await readEvent({ repository, instance }, timeline, newest);
  return gap.until?.position ?? 0;
}
