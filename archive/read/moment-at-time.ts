import { RewindError } from '../../errors/rewind-error.ts';
import type { SegmentHeader } from '../segment.ts';
import { readHeaderAt, readHourIndex } from './chain.ts';
import { eachUnit } from './cut.ts';
import { inGap } from './in-gap.ts';
import { gapsAt } from './reach.ts';
import { readBase } from './records.ts';
import { type ArchiveView, namesOf } from './timelines.ts';

export interface TimedCut {
  readonly position: number;
  readonly timeMs: number;
  readonly precision: string;
  readonly tells: readonly string[];
}

/**
 * A look that comes so shortly after a time may have seen first what was written before it: the file is looked at every
 * 50 ms, on a busy machine later. What is seen later than that was written later: a look that sees nothing new leaves no mark.
 */
const lateLookMs = 250;

/**
 * The cut for a time on one timeline: all that was written at or before it is kept. Between two looks at the file the seconds
 * of `#TS` tell; what they cannot tell is kept where the look came right after the time, for who names a time means what was
 * acknowledged by then; but nothing destructive is kept in doubt.
 *
 * @param limit position at which the timeline is left, where it is only the past of another
 * @throws ARCHIVE_MOMENT_IN_GAP and those of reading the archive
 */
export async function momentAtTime(
  view: ArchiveView,
  timeline: number,
  timeMs: number,
  limit = Number.POSITIVE_INFINITY,
  signal?: AbortSignal,
): Promise<TimedCut> {
  const asked = new Date(timeMs).toISOString();
  for (const gap of await gapsAt(view, timeline, timeMs)) {
    const over =
      gap.from.position < limit &&
      gap.from.timeMs <= timeMs &&
      timeMs < (gap.until?.timeMs ?? Number.POSITIVE_INFINITY);
    // At its very first millisecond nothing is missing yet.
    if (over && timeMs > gap.from.timeMs) throw inGap(view.place.instance, asked, gap);
  }
  const around = await headersAround(view, timeline, timeMs, limit);
  if (!around) return beforeAnySegment(view, timeline, timeMs, limit);
  const { last, next } = around;
  const cut = await between(view, timeline, timeMs, last, next, signal);
  const position = Math.min(cut.position, limit);
  return afterGap(view, timeline, timeMs, limit, { ...cut, position });
}

interface Header {
  readonly header: SegmentHeader;
}

/** The last segment of which something was seen by then, and the one that follows it. */
async function headersAround(
  view: ArchiveView,
  timeline: number,
  timeMs: number,
  limit: number,
): Promise<{ last: SegmentHeader; next?: SegmentHeader } | undefined> {
  const names = namesOf(view, timeline);
  const identity = view.timelines.get(timeline)?.identity ?? '';
  const read = async (position: number): Promise<SegmentHeader> =>
    ((await readHeaderAt(view.place, names, identity, position)) as Header).header;
  const covered = (start: number) => names.hours.some((hour) => hour.start <= start && start < hour.end);
  const pieces = [
    ...names.hours.map((hour) => ({ start: hour.start, firstMs: hour.firstMs, hour })),
    ...names.segments
      .filter(({ start }) => !covered(start))
      .map(({ start }) => ({ start, firstMs: undefined, hour: undefined })),
  ]
    .filter(({ start }) => start < limit)
    .sort((a, b) => a.start - b.start);
  const firstMs = async (index: number): Promise<number> =>
    pieces[index]!.firstMs ?? (await read(pieces[index]!.start)).firstMs;
  // Where the clock was set back times do not ascend: the newest stretch that has the time is meant.
  const turns = names.events.filter(({ kind }) => kind === 'clock').map(({ position }) => position);
  let end = pieces.length;
  while (end > 0) {
    const from = turns.findLast((position) => position <= pieces[end - 1]!.start) ?? 0;
    let begin = pieces.findIndex(({ start }) => start >= from);
    if (begin < 0 || begin >= end) begin = end - 1;
    let low = begin;
    let high = end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((await firstMs(middle)) <= timeMs) low = middle + 1;
      else high = middle;
    }
    if (low === begin) {
      end = begin;
      continue;
    }
    const piece = pieces[low - 1]!;
    let start = piece.start;
    if (piece.hour) {
      const { segments } = await readHourIndex(view.place, timeline, piece.hour);
      start = (segments.findLast(([, , , first]) => first <= timeMs) ?? segments[0]!)[0];
    }
    const last = await read(start);
    const follows = last.end < limit && (names.segments.some((each) => each.start === last.end) || covered(last.end));
    return { last, ...(follows ? { next: await read(last.end) } : {}) };
  }
  return undefined;
}

async function between(
  view: ArchiveView,
  timeline: number,
  timeMs: number,
  last: SegmentHeader,
  next: SegmentHeader | undefined,
  signal?: AbortSignal,
): Promise<TimedCut> {
  const marks = [...marksOf(last), ...(next ? marksOf(next) : [])];
  const at = marks.findLastIndex(([ms]) => ms <= timeMs);
  const [lowMs, low] = marks[at] ?? [last.firstMs, last.start];
  const above = marks[at + 1];
  const tells: string[] = [];
  if (!above) {
    if (timeMs > lowMs) tells.push(`The archive ends at ${iso(lowMs)}; what was written after that is not in it.`);
    return { position: low, timeMs: lowMs, precision: `to the millisecond, as seen at ${iso(lowMs)}`, tells };
  }
  const [highMs, high] = above;
  if (low === high)
    return { position: low, timeMs: lowMs, precision: 'to the millisecond: nothing was being written', tells };
  const doubtful = await inDoubt(view, timeline, { low, high, timeMs, highMs }, signal);
  const { position, bySeconds } = doubtful;
  return {
    position,
    timeMs: position > low ? Math.min(highMs, timeMs) : lowMs,
    precision: doubtful.quiet
      ? `to ${lateLookMs} ms: nothing new was seen before ${iso(highMs)}`
      : bySeconds
        ? `to the second, by the file’s own #TS: it was looked at at ${iso(lowMs)} and ${iso(highMs)} only`
        : `to ${Math.max(1, highMs - lowMs)} ms: the file was looked at at ${iso(lowMs)} and ${iso(highMs)}`,
    tells,
  };
}

/** Where the last look saw nothing new there may be no mark; its beginning and its end are known all the same. */
function marksOf({ start, end, firstMs, lastMs, marks }: SegmentHeader): [number, number][] {
  const all: [number, number][] = marks.map(([ms, position]) => [ms, position]);
  if (all.length === 0) all.push([firstMs, start]);
  if (all.at(-1)![1] < end) all.push([lastMs, end]);
  return all;
}

interface Doubt {
  readonly low: number;
  readonly high: number;
  readonly timeMs: number;
  /** When `high` was first seen. */
  readonly highMs: number;
}

async function inDoubt(
  view: ArchiveView,
  timeline: number,
  { low, high, timeMs, highMs }: Doubt,
  signal?: AbortSignal,
): Promise<{ position: number; bySeconds: boolean; quiet: boolean }> {
  const second = Math.floor(timeMs / 1_000);
  const keepsDoubtful = highMs - timeMs <= lateLookMs;
  const destroyed = namesOf(view, timeline).events.find(
    ({ kind, position, timeMs: at }) => kind === 'destructive' && position >= low && position < high && at > timeMs,
  );
  const stop = Math.min(high, destroyed?.position ?? high);
  let position = low;
  let bySeconds = false;
  await eachUnit(
    view,
    timeline,
    low,
    (unit) => {
      if (unit.end <= low) return true;
      if (unit.start >= stop || unit.end > high) return false;
      if (unit.second !== undefined && unit.second !== second) bySeconds = true;
      if (unit.second !== undefined && unit.second > second) return false;
      const surelyBefore = unit.second !== undefined && unit.second < second;
      if (!surelyBefore && !keepsDoubtful) return false;
      position = unit.end;
      return true;
    },
    signal,
  );
  return { position, bySeconds: bySeconds && !keepsDoubtful, quiet: position === low && !keepsDoubtful };
}

/** Behind a gap there may be a base of before the time, with nothing written after it yet. */
async function afterGap(
  view: ArchiveView,
  timeline: number,
  timeMs: number,
  limit: number,
  cut: TimedCut,
): Promise<TimedCut> {
  const { bases } = namesOf(view, timeline);
  for (const { position } of bases.filter((base) => base.position > cut.position && base.position <= limit).reverse()) {
    const base = await readBase(view.place, timeline, position);
    if (base.timeMs > timeMs) continue;
    const follows = await readHeaderAt(view.place, namesOf(view, timeline), base.identity, position).catch(
      () => undefined,
    );
    // What was archived from the base on is newer than the time, or the search would have found it.
    if (follows && follows.header.start === position && follows.header.firstMs <= timeMs) continue;
    return { ...cut, position, timeMs: base.timeMs, precision: 'to the millisecond: the state of a base' };
  }
  return cut;
}

async function beforeAnySegment(view: ArchiveView, timeline: number, timeMs: number, limit: number): Promise<TimedCut> {
  const { bases } = namesOf(view, timeline);
  const records = await Promise.all(
    bases.filter(({ position }) => position <= limit).map(({ position }) => readBase(view.place, timeline, position)),
  );
  const base = records.findLast((each) => each.timeMs <= timeMs);
  if (base) {
    return {
      position: base.position,
      timeMs: base.timeMs,
      precision: 'to the millisecond: the state of a base',
      tells: [],
    };
  }
  const [first] = records;
  const record = view.timelines.get(timeline);
  if (!first || !record) {
    throw new RewindError(
      'ARCHIVE_EMPTY',
      `The archive of ${view.place.instance} has no base on timeline ${timeline}.`,
    );
  }
  const { position, timeMs: firstMs } = first;
  throw inGap(view.place.instance, iso(timeMs), {
    timeline,
    from: { position: 0, timeMs: 0 },
    until: { position, timeMs: firstMs },
  });
}

const iso = (ms: number): string => new Date(ms).toISOString();
