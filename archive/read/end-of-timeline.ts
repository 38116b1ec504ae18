import { readHeaderAt } from './chain.ts';
import { type ArchiveView, namesOf } from './timelines.ts';

/** Where a timeline ends; undefined where nothing is stored of it. */
export async function endOf(
  view: ArchiveView,
  timeline: number,
): Promise<{ position: number; timeMs?: number } | undefined> {
  const names = namesOf(view, timeline);
  const lastBase = names.bases.at(-1)?.position ?? -1;
  const hour = names.hours.reduce((best, each) => (each.end > (best?.end ?? -1) ? each : best), names.hours[0]);
  const segment = names.segments.at(-1);
  let end: { position: number; timeMs?: number } | undefined;
  if (hour) end = { position: hour.end, timeMs: hour.lastMs };
  if (segment && segment.start >= (end?.position ?? 0)) {
    const identity = view.timelines.get(timeline)?.identity ?? '';
    const { header } = await readHeaderAt(view.place, names, identity, segment.start);
    end = { position: header.end, timeMs: header.lastMs };
  }
  return lastBase > (end?.position ?? -1) ? { position: lastBase } : end;
}
