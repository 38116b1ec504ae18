import { mapBounded } from '../../repository/map-bounded.ts';
import type { EventName } from '../layout.ts';
import { holds } from '../loss/loss-record.ts';
import type { EventRecord, TimelineRecord } from '../records.ts';
import { endOf } from './end-of-timeline.ts';
import type { TimelineNames } from './listing.ts';
import { type ArchivePlace, readBase } from './records.ts';
import { type ArchiveView, namesOf, readEvents, viewArchive } from './timelines.ts';

/** Events that are read at most, the newest ones: every other is told by its name alone, without its command. */
const mostRead = 48;
/** Times are read of so many bases at most, evenly over the time. */
const atOnce = 16;

export interface TimelinePicture {
  readonly timeline: number;
  readonly parent?: TimelineRecord['parent'];
  readonly why: TimelineRecord['why'];
  readonly note?: string;
  /** Of the first and the last moment that can be restored, positions and Unix ms; absent where there is none yet. */
  readonly from?: MomentAt;
  readonly to?: MomentAt;
  readonly bases: { readonly count: number; readonly newest?: { position: number; storedMs: number } };
  readonly hours: number;
  readonly segments: number;
  readonly gaps: readonly { readonly from: MomentAt; readonly to?: MomentAt; readonly note?: string }[];
  readonly destructive: readonly DestructiveEvent[];
  readonly pins: readonly PinnedMoment[];
}

export interface MomentAt {
  readonly position: number;
  readonly timeMs: number;
}

export interface DestructiveEvent extends MomentAt {
  /** Absent where only its name was looked at. */
  readonly command?: string;
  readonly database?: number;
  readonly keys?: number;
}

/** A last good moment: `timeMs` is when the loss was noticed. */
export interface PinnedMoment extends MomentAt {
  /** False once it was released, or is too old. */
  readonly holds: boolean;
  /** What was lost then, a sentence. */
  readonly note?: string;
}

/** What the archive of an instance holds, from few requests: one listing, a record for each timeline, the newest events. */
export async function drawArchive(place: ArchivePlace): Promise<readonly TimelinePicture[]> {
  const view = await viewArchive(place);
  const told = await readNewest(view);
  return mapBounded([...view.timelines.values()], atOnce, (record) => draw(view, record, told));
}

type Told = ReadonlyMap<EventName, EventRecord>;

async function readNewest(view: ArchiveView): Promise<Told> {
  const all = [...view.names.values()]
    .filter(({ timeline }) => view.timelines.has(timeline))
    .flatMap(({ timeline, events }) =>
      events
        .filter(({ kind }) => kind === 'gap' || kind === 'destructive' || kind === 'pin')
        .map((name) => ({ timeline, name })),
    )
    .sort((a, b) => b.name.position - a.name.position)
    .slice(0, mostRead);
  const records = await mapBounded(all, atOnce, async ({ timeline, name }) => {
    const [record] = await readEvents(view, timeline, [name]);
    return [name, record as EventRecord] as const;
  });
  return new Map(records);
}

async function draw(view: ArchiveView, record: TimelineRecord, told: Told): Promise<TimelinePicture> {
  const names = namesOf(view, record.timeline);
  const ofKind = (kind: EventName['kind']) => names.events.filter((event) => event.kind === kind);
  const [from, to] = await Promise.all([firstOf(view, names), lastOf(view, names)]);
  const newest = names.bases.at(-1);
  return {
    timeline: record.timeline,
    parent: record.parent,
    why: record.why,
    note: record.note,
    from,
    to,
    bases: { count: names.bases.length, newest },
    hours: names.hours.length,
    segments: names.segments.length,
    gaps: ofKind('gap').map((name) => {
      const event = told.get(name);
      return { from: at(name), to: event?.until, note: event?.note };
    }),
    destructive: ofKind('destructive').map((name) => {
      const { command, database, keys } = told.get(name) ?? {};
      return { ...at(name), command, database, keys };
    }),
    pins: ofKind('pin').map((name) => {
      const note = told.get(name)?.note;
      return { ...at(name), holds: holds(name, names.events, Date.now()), ...(note === undefined ? {} : { note }) };
    }),
  };
}

const at = ({ position, timeMs }: EventName): MomentAt => ({ position, timeMs });

/** The first base is the first moment. */
async function firstOf(view: ArchiveView, names: TimelineNames): Promise<MomentAt | undefined> {
  const [first] = names.bases;
  const record = view.timelines.get(names.timeline);
  if (!first) return record?.file && { position: record.start, timeMs: record.startedMs };
  const { position, timeMs } = await readBase(view.place, names.timeline, first.position);
  return { position, timeMs };
}

async function lastOf(view: ArchiveView, names: TimelineNames): Promise<MomentAt | undefined> {
  const end = await endOf(view, names.timeline);
  if (!end) return undefined;
  if (end.timeMs !== undefined) return { position: end.position, timeMs: end.timeMs };
  const { timeMs } = await readBase(view.place, names.timeline, end.position);
  return { position: end.position, timeMs };
}
