import type { StepIO } from '../process/step-io.ts';
import { storeEvent } from './follow/store-records.ts';
import { type HourName, hourKey, segmentKey } from './layout.ts';
import { holds } from './loss/loss-record.ts';
import { endOf } from './read/end-of-timeline.ts';
import { type ArchivePlace, readBase } from './read/records.ts';
import { type ArchiveView, namesOf, viewArchive } from './read/timelines.ts';

export interface Pruned {
  readonly segments: number;
  readonly hours: number;
}

/** [from, to): of it nothing but the base at `from` is kept. */
interface Stretch {
  readonly from: number;
  readonly to: number;
}

/**
 * Keeps every moment since `keepFromMs`, and of what is older the bases alone. What goes becomes a gap first, so that the
 * archive says itself what it has: killed anywhere, nothing is missing that it does not call missing. Never touched is what
 * a pinned moment is replayed from, or a timeline that goes on from its parent without a base of its own.
 *
 * @param keepFromMs Unix ms
 * @param now Unix ms: pins do not hold for ever
 */
export async function pruneMoments(
  place: ArchivePlace,
  keepFromMs: number,
  io: StepIO,
  now = Date.now(),
): Promise<Pruned> {
  const view = await viewArchive(place);
  const pruned = { segments: 0, hours: 0 };
  const newest = [...view.timelines.keys()].at(-1);
  for (const timeline of view.timelines.keys()) {
    const stretches = await stretchesToGo(view, timeline, { keepFromMs, now, isNewest: timeline === newest });
    if (stretches.length === 0) continue;
    for (const stretch of stretches) await storeGap(view, timeline, stretch);
    const { segments: all, hours } = namesOf(view, timeline);
    // The newest one stays: whoever follows the file goes on from it.
    const segments = timeline === newest ? all.slice(0, -1) : all;
    const goes = (position: number) => stretches.some(({ from, to }) => from <= position && position < to);
    for (const { start } of segments) {
      io.signal.throwIfAborted();
      if (!goes(start)) continue;
      await place.repository.remove(segmentKey(place.instance, timeline, start));
      pruned.segments += 1;
    }
    for (const hour of hours) {
      io.signal.throwIfAborted();
      if (!isWithin(hour, stretches)) continue;
      // The index first: an object without it is none.
      await place.repository.remove(hourKey(place.instance, timeline, hour, 'json'));
      await place.repository.remove(hourKey(place.instance, timeline, hour, 'segs'));
      pruned.hours += 1;
    }
  }
  return pruned;
}

/** All of it goes, in however many stretches that follow one another. */
function isWithin({ start, end }: HourName, stretches: readonly Stretch[]): boolean {
  let position = start;
  for (const { from, to } of stretches) if (from <= position && position < to) position = to;
  return position >= end;
}

async function stretchesToGo(
  view: ArchiveView,
  timeline: number,
  { keepFromMs, now, isNewest }: { keepFromMs: number; now: number; isNewest: boolean },
): Promise<Stretch[]> {
  const { bases, segments, hours, events } = namesOf(view, timeline);
  const positions = bases.map(({ position }) => position);
  const kept = await newestBaseBefore(view, timeline, positions, keepFromMs);
  if (kept < 0) return [];
  const stretches = positions.slice(0, kept).map((from, i) => ({ from, to: positions[i + 1] as number }));
  const end = await endOf(view, timeline);
  // A timeline that was left long ago has no later base: its end goes, too.
  const isOver = !isNewest && kept === positions.length - 1 && end?.timeMs !== undefined && end.timeMs < keepFromMs;
  if (isOver && end.position > positions[kept]!) stretches.push({ from: positions[kept]!, to: end.position });
  const needed = [
    ...events.filter((event) => holds(event, events, now)).map(({ position }) => position),
    ...[...view.timelines.values()]
      .filter(({ parent, file }) => parent?.timeline === timeline && file !== undefined)
      .map(({ parent }) => parent!.position),
  ];
  const holdsSomething = ({ from, to }: Stretch) =>
    segments.some(({ start }) => from <= start && start < to) ||
    hours.some(({ start, end }) => start < to && from < end);
  return stretches
    .filter((stretch) => !needed.some((position) => stretch.from < position && position <= stretch.to))
    .filter(holdsSomething);
}

/** Index of the newest base that stood at `timeMs`: from it on every moment can be replayed. -1: none. */
async function newestBaseBefore(
  view: ArchiveView,
  timeline: number,
  positions: readonly number[],
  timeMs: number,
): Promise<number> {
  let low = 0;
  let high = positions.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const base = await readBase(view.place, timeline, positions[middle] as number);
    if (base.timeMs <= timeMs) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

async function storeGap(
  { place, timelines, names }: ArchiveView,
  timeline: number,
  { from, to }: Stretch,
): Promise<void> {
  const known = names.get(timeline)?.events.some(({ kind, position }) => kind === 'gap' && position === from);
  if (known) return;
  const { repository, instance } = place;
  const base = await readBase(place, timeline, from);
  const next = names.get(timeline)?.bases.find(({ position }) => position === to);
  const untilMs = next ? (await readBase(place, timeline, to)).timeMs : base.timeMs;
  await storeEvent(repository, {
    instance,
    identity: timelines.get(timeline)!.identity,
    timeline,
    kind: 'gap',
    position: from,
    timeMs: base.timeMs,
    until: { position: to, timeMs: untilMs },
    note: 'older than archive.keepMoments: the bases are kept, the moments between them are not',
  });
}
