import { RewindError } from '../../errors/rewind-error.ts';
import type { BaseRecord, EventRecord } from '../records.ts';
import type { Leg } from './moment.ts';
import { readBase } from './records.ts';
import { type ArchiveView, namesOf, readEvents } from './timelines.ts';

/** What was not archived: from a position and a time on, up to where a base stands again. */
export interface Gap {
  readonly timeline: number;
  readonly from: { readonly position: number; readonly timeMs: number };
  /** Absent: it is open, nothing can be restored behind it yet. */
  readonly until?: { readonly position: number; readonly timeMs: number };
}

/** A cut, and from where it is replayed; or the gap that it lies in. */
export type Reach = { readonly base: BaseRecord; readonly legs: readonly Leg[] } | { readonly gap: Gap };

/**
 * How the state at a position is reached: the nearest base at or before it, on its timeline or in the past of that, with
 * nothing missing in between.
 *
 * @throws ARCHIVE_EMPTY where there is no base before it at all; ARCHIVE_RECORD_INVALID
 */
export async function reach(view: ArchiveView, timeline: number, position: number): Promise<Reach> {
  const legs: Leg[] = [];
  let on = timeline;
  let to = position;
  for (;;) {
    const names = namesOf(view, on);
    const record = view.timelines.get(on);
    if (!record) throw new RewindError('ARCHIVE_RECORD_INVALID', `Timeline ${on} of the archive has no record.`);
    const base = names.bases.findLast((each) => each.position <= to);
    const from = base?.position ?? record.start;
    const gap = await gapBetween(view, on, from, to);
    if (gap) return { gap };
    if (to > from) legs.unshift({ timeline: on, from, to });
    if (base) return { base: await readBase(view.place, on, base.position), legs };
    const { parent } = record;
    // Without a base of its own it goes on in the file, at the byte, at which it left its parent.
    if (!parent || record.file === undefined) {
      return {
        gap: {
          timeline: on,
          from: { position: record.start, timeMs: record.startedMs },
          ...(await firstBase(view, on)),
        },
      };
    }
    on = parent.timeline;
    to = parent.position;
  }
}

/** The gaps of a timeline that may hold a time, each up to the first base behind it. */
export async function gapsAt(view: ArchiveView, timeline: number, timeMs: number): Promise<Gap[]> {
  const names = namesOf(view, timeline);
  // They follow one another: the last that had begun by then, and one before it where the clock was set back.
  const events = names.events.filter((event) => event.kind === 'gap' && event.timeMs <= timeMs).slice(-2);
  return Promise.all((await readEvents(view, timeline, events)).map((event) => gapOf(view, timeline, event)));
}

/** The first stretch within [from, to) of a timeline that was not archived. */
export async function gapBetween(
  view: ArchiveView,
  timeline: number,
  from: number,
  to: number,
): Promise<Gap | undefined> {
  const { events } = namesOf(view, timeline);
  const within = events.filter(({ kind, position }) => kind === 'gap' && position >= from && position < to);
  for (const event of await readEvents(view, timeline, within)) {
    // One that ends where the base stands lies before it.
    if (event.until !== undefined && event.until.position <= from) continue;
    return gapOf(view, timeline, event);
  }
  return undefined;
}

async function gapOf(view: ArchiveView, timeline: number, event: EventRecord): Promise<Gap> {
  const from = { position: event.position, timeMs: event.timeMs };
  const behind = event.until?.position ?? event.position + 1;
  const base = namesOf(view, timeline).bases.find(({ position }) => position >= behind);
  if (!base) return { timeline, from };
  if (event.until?.position === base.position) return { timeline, from, until: event.until };
  const { position, timeMs } = await readBase(view.place, timeline, base.position);
  return { timeline, from, until: { position, timeMs: Math.max(timeMs, event.until?.timeMs ?? 0) } };
}

async function firstBase(view: ArchiveView, timeline: number): Promise<Pick<Gap, 'until'>> {
  const [first] = namesOf(view, timeline).bases;
  if (!first) return {};
  const { position, timeMs } = await readBase(view.place, timeline, first.position);
  return { until: { position, timeMs } };
}
