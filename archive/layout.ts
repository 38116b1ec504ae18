/**
 * The append-only archive of an instance: what Redis appended, as it stands, from its bases on (docs/FORMAT.md).
 *
 * Every byte that was ever archived for an instance has one *position*: a whole number that grows over all files, rewrites
 * and timelines and is never given twice. A moment is a timeline and a position: all that stands before it, nothing from it on.
 */

/** A position has as many digits in a name: names sort as positions do, up to `Number.MAX_SAFE_INTEGER`. */
const positionDigits = 16;
/** Unix ms, up to the year 2286. */
const timeDigits = 13;
const timelineDigits = 8;

/** `aof/<instance>/` */
export const archiveDirectory = (instance: string): string => `aof/${instance}/`;

/** `timelines/<timeline>.json`: made exclusively, so that of two agents one begins it. */
export const timelineKey = (instance: string, timeline: number): string =>
  `${timelinesDirectory(instance)}${padded(timeline, timelineDigits)}.json`;
export const timelinesDirectory = (instance: string): string => `${archiveDirectory(instance)}timelines/`;

/** `bases/<timeline>/<position>.base`, and `.json` beside it, last: without that it is no base. */
export const baseKey = (instance: string, timeline: number, position: number): string =>
  `${basesDirectory(instance, timeline)}${padded(position, positionDigits)}.base`;
export const baseRecordKey = (instance: string, timeline: number, position: number): string =>
  `${basesDirectory(instance, timeline)}${padded(position, positionDigits)}.json`;
export const basesDirectory = (instance: string, timeline: number): string =>
  `${archiveDirectory(instance)}bases/${padded(timeline, timelineDigits)}/`;

/** `segments/<timeline>/<position>.seg`, by where it begins: of two agents that would go on from one place, one does. */
export const segmentKey = (instance: string, timeline: number, start: number): string =>
  `${segmentsDirectory(instance, timeline)}${padded(start, positionDigits)}.seg`;
export const segmentsDirectory = (instance: string, timeline: number): string =>
  `${archiveDirectory(instance)}segments/${padded(timeline, timelineDigits)}/`;

/** What a closed hour's segments became: one object with them, one after the other, and its index (`.json`), last. */
export interface HourName {
  readonly start: number;
  readonly end: number;
  readonly firstMs: number;
  readonly lastMs: number;
}
export const hoursDirectory = (instance: string, timeline: number): string =>
  `${archiveDirectory(instance)}hours/${padded(timeline, timelineDigits)}/`;
export const hourKey = (instance: string, timeline: number, hour: HourName, file: 'segs' | 'json'): string =>
  `${hoursDirectory(instance, timeline)}${padded(hour.start, positionDigits)}-${padded(hour.end, positionDigits)}-${padded(hour.firstMs, timeDigits)}-${padded(hour.lastMs, timeDigits)}.${file}`;

/** What happened at a position, in its name, so that a listing alone draws the timeline; more about it is in the object. */
export interface EventName {
  readonly position: number;
  readonly timeMs: number;
  readonly kind: EventKind;
}
export const eventKinds = ['gap', 'destructive', 'clock', 'pin', 'release'] as const;
export type EventKind = (typeof eventKinds)[number];
export const eventsDirectory = (instance: string, timeline: number): string =>
  `${archiveDirectory(instance)}events/${padded(timeline, timelineDigits)}/`;
export const eventKey = (instance: string, timeline: number, { position, timeMs, kind }: EventName): string =>
  `${eventsDirectory(instance, timeline)}${padded(position, positionDigits)}-${padded(timeMs, timeDigits)}-${kind}.json`;

/** A name below one of the directories above, taken apart; undefined for what this version does not write there. */
export function parseTimelineKey(key: string, instance: string): number | undefined {
  return number(/^(\d{8})\.json$/, key, timelinesDirectory(instance))?.[0];
}
export function parseBaseRecordKey(key: string, instance: string, timeline: number): number | undefined {
  return number(/^(\d{16})\.json$/, key, basesDirectory(instance, timeline))?.[0];
}
export function parseSegmentKey(key: string, instance: string, timeline: number): number | undefined {
  return number(/^(\d{16})\.seg$/, key, segmentsDirectory(instance, timeline))?.[0];
}
export function parseHourKey(key: string, instance: string, timeline: number): HourName | undefined {
  const parts = number(/^(\d{16})-(\d{16})-(\d{13})-(\d{13})\.json$/, key, hoursDirectory(instance, timeline));
  if (parts === undefined) return undefined;
  const [start, end, firstMs, lastMs] = parts as [number, number, number, number];
  return start < end && firstMs <= lastMs ? { start, end, firstMs, lastMs } : undefined;
}
export function parseEventKey(key: string, instance: string, timeline: number): EventName | undefined {
  const parts = number(/^(\d{16})-(\d{13})-[a-z]+\.json$/, key, eventsDirectory(instance, timeline));
  const kind = eventKinds.find((each) => key.endsWith(`-${each}.json`));
  if (parts === undefined || kind === undefined) return undefined;
  return { position: parts[0]!, timeMs: parts[1]!, kind };
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}

function number(pattern: RegExp, key: string, directory: string): number[] | undefined {
  if (!key.startsWith(directory)) return undefined;
  const numbers = pattern.exec(key.slice(directory.length))?.slice(1).map(Number);
  return numbers?.every(Number.isSafeInteger) ? numbers : undefined;
}
