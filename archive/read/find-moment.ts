import { RewindError } from '../../errors/rewind-error.ts';
import { readHeaderAt } from './chain.ts';
import { floorToUnit } from './cut.ts';
import { endOf } from './end-of-timeline.ts';
import { inGap, outside } from './in-gap.ts';
import type { Moment } from './moment.ts';
import { momentAtTime, type TimedCut } from './moment-at-time.ts';
import { reach } from './reach.ts';
import type { ArchivePlace } from './records.ts';
import { type ArchiveView, namesOf, readEvents, viewArchive } from './timelines.ts';

/** Destructive commands so near to one another are taken for one mishap. */
const rowGapMs = 60_000;

/** What a person means by a moment of the archive. */
export type MomentAsked =
  | { readonly kind: 'time'; readonly timeMs: number }
  | { readonly kind: 'position'; readonly position: number }
  | { readonly kind: 'before-flush' }
  | { readonly kind: 'latest' };

export interface FindOptions {
  /** Default: the newest timeline that holds the moment. */
  readonly timeline?: number;
  /** Of `before-flush`: one that was seen earlier is another one. Unix ms. */
  readonly destroyedNotBeforeMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Finds a moment. A time keeps what was written at or before it; a position, what stands before it, down to the beginning of
 * the command, or of the MULTI, that it lies in; `before-flush` is the position of the newest destructive command.
 *
 * @throws ARCHIVE_EMPTY, ARCHIVE_MOMENT_IN_GAP with the nearest moments on both sides in `details.before` and
 *   `details.after`, ARCHIVE_NOTHING_DESTRUCTIVE, and those of reading the archive
 */
export async function findMoment(place: ArchivePlace, asked: MomentAsked, options: FindOptions = {}): Promise<Moment> {
  const view = await viewArchive(place);
  if (view.timelines.size === 0) throw empty(place.instance);
  const { timeline, cut } = await cutOf(view, asked, options);
  const record = view.timelines.get(timeline)!;
  const found = await reach(view, timeline, cut.position);
  if ('gap' in found) throw inGap(place.instance, describe(asked), found.gap);
  const { base, legs } = found;
  return {
    instance: place.instance,
    identity: record.identity,
    timeline,
    position: cut.position,
    timeMs: cut.timeMs ?? (await timeOf(view, timeline, cut.position)) ?? base.timeMs,
    precision: cut.precision,
    base: {
      timeline: base.timeline,
      position: base.position,
      kind: base.kind,
      sizeBytes: base.sizeBytes,
      sha256: base.sha256,
    },
    legs,
    server: newestServer(view, base.server, legs),
    tells: cut.tells,
  };
}

type Cut = Pick<TimedCut, 'position' | 'precision' | 'tells'> & { readonly timeMs?: number };

async function cutOf(
  view: ArchiveView,
  asked: MomentAsked,
  { timeline, signal, destroyedNotBeforeMs }: FindOptions,
): Promise<{ timeline: number; cut: Cut }> {
  if (timeline !== undefined && !view.timelines.has(timeline)) {
    throw new RewindError('ARCHIVE_EMPTY', `The archive of ${view.place.instance} has no timeline ${timeline}.`);
  }
  if (asked.kind === 'time') return atTime(view, asked.timeMs, timeline, signal);
  if (asked.kind === 'position') return atPosition(view, asked.position, timeline, signal);
  if (asked.kind === 'before-flush') return beforeDestruction(view, timeline, destroyedNotBeforeMs, signal);
  return atEnd(view, timeline);
}

/** The newest timeline that had begun by then; asked for by its number, its past on its parents counts, too. */
async function atTime(view: ArchiveView, timeMs: number, wanted: number | undefined, signal?: AbortSignal) {
  let timeline = wanted ?? newestBegun(view, timeMs);
  for (;;) {
    const record = view.timelines.get(timeline)!;
    if (timeMs >= record.startedMs || record.parent === undefined) {
      return { timeline, cut: await momentAtTime(view, timeline, timeMs, undefined, signal) };
    }
    const { parent } = record;
    const cut = await momentAtTime(view, parent.timeline, timeMs, parent.position, signal).catch((error) => {
      if (error instanceof RewindError && error.code === 'ARCHIVE_MOMENT_IN_GAP') return undefined;
      throw error;
    });
    if (cut) return { timeline: parent.timeline, cut };
    timeline = parent.timeline;
  }
}

function newestBegun(view: ArchiveView, timeMs: number): number {
  const begun = [...view.timelines.values()].filter(({ startedMs }) => startedMs <= timeMs);
  const [first] = view.timelines.keys();
  return begun.at(-1)?.timeline ?? (first as number);
}

/** Positions are given once: of all timelines one has it, or the newest of those that begin or end there. */
async function atPosition(view: ArchiveView, position: number, wanted: number | undefined, signal?: AbortSignal) {
  const reversed = [...view.timelines.values()].reverse();
  const holder =
    wanted === undefined
      ? reversed.find(({ start }) => start <= position)
      : pathOf(view, wanted).find(({ timeline, to }) => {
          const { start } = view.timelines.get(timeline)!;
          return start <= position && position <= to;
        });
  const end = holder && (await endOf(view, holder.timeline));
  if (!holder || !end) {
    const [first] = view.timelines.values();
    throw outside(view.place.instance, `position ${position}`, { after: first?.start });
  }
  const { timeline } = holder;
  if (position > end.position) {
    const next = [...view.timelines.values()].find(({ start }) => start > position);
    throw outside(view.place.instance, `position ${position}`, { before: end.position, after: next?.start });
  }
  const { bases, events } = namesOf(view, timeline);
  // Bases and gaps begin between two commands.
  const atBase =
    bases.some((base) => base.position === position) ||
    events.some((event) => event.kind === 'gap' && event.position === position);
  const cut = position === end.position || atBase ? position : await flooredInto(view, timeline, position, signal);
  const tells =
    cut === position
      ? []
      : [`Position ${position} lies inside of a command or a transaction that begins behind ${cut}.`];
  return { timeline, cut: { position: cut, precision: 'exact: cut at a position', tells } };
}

/** A position that no segment has lies in a gap, which `reach` names. */
async function flooredInto(view: ArchiveView, timeline: number, position: number, signal?: AbortSignal) {
  try {
    return await floorToUnit(view, timeline, position, signal);
  } catch (error) {
    if (!(error instanceof RewindError && error.code === 'ARCHIVE_CHAIN_BROKEN')) throw error;
    const found = await reach(view, timeline, position);
    if ('gap' in found) throw inGap(view.place.instance, `position ${position}`, found.gap);
    throw error;
  }
}

async function beforeDestruction(view: ArchiveView, wanted: number | undefined, notBeforeMs = 0, signal?: AbortSignal) {
  const path = wanted === undefined ? undefined : pathOf(view, wanted);
  const on = path ?? [...view.timelines.keys()].map((timeline) => ({ timeline, to: Number.POSITIVE_INFINITY }));
  const [newest, ...older] = on
    .flatMap(({ timeline, to }) =>
      namesOf(view, timeline)
        .events.filter(({ kind, position, timeMs }) => kind === 'destructive' && position < to && timeMs >= notBeforeMs)
        .map((event) => ({ timeline, event })),
    )
    .sort((a, b) => b.event.position - a.event.position);
  if (!newest) {
    throw new RewindError(
      'ARCHIVE_NOTHING_DESTRUCTIVE',
      `The archive of ${view.place.instance} knows of no destructive command${notBeforeMs > 0 ? ` since ${new Date(notBeforeMs).toISOString()}` : ''}.`,
    );
  }
  const what = await commandOf(view, newest);
  const position = await floorToUnit(view, newest.timeline, newest.event.position, signal);
  const tells = [`The newest destructive command is ${what}.`];
  const row = olderOfRow(newest, older);
  const first = row.at(-1);
  if (first) {
    const before = await floorToUnit(view, first.timeline, first.event.position, signal);
    tells.push(
      `It is the last of ${row.length + 1} that followed one another; the first is ${await commandOf(view, first)}. The state right before all of them is position ${before}; it is meant by --to ${before}.`,
    );
  }
  return { timeline: newest.timeline, cut: { position, precision: `exact: cut right before ${what}`, tells } };
}

type Destruction = { readonly timeline: number; readonly event: ReturnType<typeof namesOf>['events'][number] };

/** Of those before the newest, itself left out, what belongs to the same mishap: each within a minute of the next. */
function olderOfRow(newest: Destruction, older: readonly Destruction[]): Destruction[] {
  const row: Destruction[] = [];
  let next = newest;
  for (const each of older) {
    if (each.timeline !== next.timeline || next.event.timeMs - each.event.timeMs > rowGapMs) break;
    row.push(each);
    next = each;
  }
  return row;
}

async function commandOf(view: ArchiveView, { timeline, event }: Destruction): Promise<string> {
  const [record] = await readEvents(view, timeline, [event]);
  return `${record!.command ?? 'the destructive command'} of ${new Date(event.timeMs).toISOString()}`;
}

async function atEnd(view: ArchiveView, wanted: number | undefined) {
  const candidates = wanted === undefined ? [...view.timelines.keys()].reverse() : [wanted];
  for (const timeline of candidates) {
    const end = await endOf(view, timeline);
    if (!end) continue;
    const found = await reach(view, timeline, end.position).catch((error) => {
      if (error instanceof RewindError && error.code === 'ARCHIVE_EMPTY') return undefined;
      throw error;
    });
    if (!found) continue;
    const position = 'gap' in found ? found.gap.from.position : end.position;
    const tells = 'gap' in found ? ['Behind it there is a gap, and no base yet.'] : [];
    const destroyed = namesOf(view, timeline).events.findLast((event) => event.kind === 'destructive');
    if (destroyed && destroyed.position < position) {
      const when = new Date(destroyed.timeMs).toISOString();
      tells.push(`A destructive command of ${when} is a part of it; the state right before that is before-flush.`);
    }
    return { timeline, cut: { position, precision: 'exact: all that was archived', tells } };
  }
  throw empty(view.place.instance);
}

/** A timeline and what of its parents is its past, the newest first. */
function pathOf(view: ArchiveView, timeline: number): { timeline: number; to: number }[] {
  const path: { timeline: number; to: number }[] = [];
  let next: { timeline: number; position: number } | undefined = { timeline, position: Number.POSITIVE_INFINITY };
  while (next) {
    path.push({ timeline: next.timeline, to: next.position });
    next = view.timelines.get(next.timeline)?.parent;
  }
  return path;
}

/** When what stands right before a position was seen. */
async function timeOf(view: ArchiveView, timeline: number, position: number): Promise<number | undefined> {
  const identity = view.timelines.get(timeline)?.identity ?? '';
  try {
    const { header } = await readHeaderAt(view.place, namesOf(view, timeline), identity, position - 1);
    if (header.end < position) return undefined;
    return header.marks.find(([, upTo]) => upTo >= position)?.[0] ?? header.lastMs;
  } catch (error) {
    if (error instanceof RewindError && error.code === 'ARCHIVE_CHAIN_BROKEN') return undefined;
    throw error;
  }
}

/** What was written by a newer server wants one at least as new. */
export function newestServer(
  view: ArchiveView,
  base: { name: 'redis' | 'valkey'; version: string },
  legs: Moment['legs'],
): Moment['server'] {
  const servers = legs.map(({ timeline }) => view.timelines.get(timeline)!.server);
  const parts = (version: string) => version.split('.').map(Number);
  const [newest] = [base, ...servers]
    .filter(({ name }) => name === base.name)
    .sort((a, b) => {
      const [x, y] = [parts(a.version), parts(b.version)];
      return (y[0] ?? 0) - (x[0] ?? 0) || (y[1] ?? 0) - (x[1] ?? 0);
    });
  return { name: newest!.name, version: newest!.version };
}

function describe(asked: MomentAsked): string {
  if (asked.kind === 'time') return new Date(asked.timeMs).toISOString();
  return asked.kind === 'position' ? `position ${asked.position}` : asked.kind;
}

const empty = (instance: string): RewindError =>
  new RewindError('ARCHIVE_EMPTY', `The archive of ${instance} holds nothing that could be restored.`);
