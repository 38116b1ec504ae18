import type { Readable } from 'node:stream';
import { RewindError } from '../../errors/rewind-error.ts';
import { decodeHourIndex, type HourIndex, hourIndexBytes } from '../hour-index.ts';
import { type HourName, hourKey, segmentKey } from '../layout.ts';
import type { SegmentHeader } from '../segment.ts';
import { readStoredHeader } from '../stored-header.ts';
import type { SegmentName, TimelineNames } from './listing.ts';
import type { ArchivePlace } from './records.ts';
import { type SegmentPart, segmentParts } from './segment-stream.ts';

/** Bytes [from, to) of one timeline. */
export interface ChainRange {
  readonly timeline: number;
  readonly from: number;
  readonly to: number;
}

/** Who the archive is of, and what the segment before `from` was: that is what the chain has to go on from. */
export interface ChainOrigin {
  readonly identity: string;
  /** Its digest; absent where nothing of the chain was read yet. */
  readonly previous?: string;
}

/** Objects that are asked for ahead: enough to hide a store's latency, few enough for any memory. */
const aheadOfReading = 4;

/**
 * The segments that hold [from, to), one after the other and proven: each begins where the one before it ended and names it
 * by its digest, is of this instance, its identity and this timeline, and has the bytes that were written. What lies both
 * in an hour and by itself is read once. The first may begin before `from`, the last may end behind `to`.
 *
 * @throws ARCHIVE_CHAIN_BROKEN with `details.position`, ARCHIVE_SEGMENT_DAMAGED, ARCHIVE_RECORD_INVALID
 */
export async function* readChain(
  place: ArchivePlace,
  names: TimelineNames,
  { timeline, from, to }: ChainRange,
  { identity, previous }: ChainOrigin,
  signal?: AbortSignal,
): AsyncGenerator<SegmentPart> {
  let position = from;
  let before = previous;
  const opened = new OpenedAhead(place, timeline, names.segments, signal);
  try {
    while (position < to) {
      const found = findAt(names, position);
      if (!found) throw broken(place.instance, timeline, position, 'no segment begins there');
      const { key, stream } =
        'hour' in found
          ? await openHour(place, timeline, found.hour, position, signal)
          : await opened.open(found.index);
      try {
        let began = false;
        for await (const part of segmentParts(stream, key)) {
          if (part.part === 'header') {
            const { header } = part;
            if (header.end <= position && !began)
              throw broken(place.instance, timeline, position, `${key} ends before`);
            const joins = began || position !== from ? header.start === position : header.start <= position;
            assertBelongs(place, header, key, timeline, identity);
            if (!joins) throw broken(place.instance, timeline, position, `${key} goes on at ${header.start}`);
            if (before !== undefined && header.previous !== before) {
              throw broken(place.instance, timeline, header.start, `${key} does not follow the segment before it`);
            }
            began = true;
          }
          yield part;
          if (part.part !== 'end') continue;
          position = part.header.end;
          before = part.digest;
          if (position >= to) return;
        }
        if (!began) throw broken(place.instance, timeline, position, `${key} is empty`);
      } finally {
        stream.destroy();
      }
    }
  } finally {
    opened.close();
  }
}

/** A header alone, with the digest that the next segment names it by: one small request. @throws as `readChain` */
export async function readHeaderAt(
  place: ArchivePlace,
  names: TimelineNames,
  identity: string,
  position: number,
  signal?: AbortSignal,
): Promise<{ header: SegmentHeader; digest: string }> {
  const { timeline } = names;
  const found = findAt(names, position);
  if (!found) throw broken(place.instance, timeline, position, 'no segment begins there');
  let key: string;
  let at = 0;
  if ('hour' in found) {
    key = hourKey(place.instance, timeline, found.hour, 'segs');
    at = entryAt(await readHourIndex(place, timeline, found.hour), position)[2];
  } else key = segmentKey(place.instance, timeline, names.segments[found.index]!.start);
  const { header, digest } = await readStoredHeader(place.repository, key, at, signal);
  assertBelongs(place, header, key, timeline, identity);
  return { header, digest };
}

/** @throws ARCHIVE_RECORD_INVALID */
export async function readHourIndex(place: ArchivePlace, timeline: number, hour: HourName): Promise<HourIndex> {
  const key = hourKey(place.instance, timeline, hour, 'json');
  const index = decodeHourIndex(await place.repository.readSmall(key, hourIndexBytes), key);
  const { segments } = index;
  const fits =
    index.instance === place.instance &&
    index.timeline === timeline &&
    segments[0]![0] === hour.start &&
    segments.at(-1)![1] === hour.end;
  if (!fits) throw new RewindError('ARCHIVE_RECORD_INVALID', `${key} cannot be read: it is not what its name says.`);
  return index;
}

/** What holds a position: an hour, or the segment that begins at or last before it. */
function findAt(names: TimelineNames, position: number): { hour: HourName } | { index: number } | undefined {
  let best: HourName | undefined;
  for (const hour of names.hours) {
    if (hour.start > position) break;
    if (hour.end > position && hour.end > (best?.end ?? 0)) best = hour;
  }
  if (best) return { hour: best };
  const index = lastAtOrBefore(names.segments, position);
  return index < 0 ? undefined : { index };
}

function lastAtOrBefore(segments: readonly SegmentName[], position: number): number {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (segments[middle]!.start <= position) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

const entryAt = (index: HourIndex, position: number) =>
  index.segments.find(([start, end]) => start <= position && position < end) ?? index.segments[0]!;

async function openHour(
  place: ArchivePlace,
  timeline: number,
  hour: HourName,
  position: number,
  signal: AbortSignal | undefined,
): Promise<{ key: string; stream: Readable }> {
  const key = hourKey(place.instance, timeline, hour, 'segs');
  const [, , at] = entryAt(await readHourIndex(place, timeline, hour), position);
  return { key, stream: await place.repository.read(key, { start: at, signal }) };
}

/** Single segments, opened before they are read: most are small, and a store's latency is longer than reading one. */
class OpenedAhead {
  readonly #place: ArchivePlace;
  readonly #timeline: number;
  readonly #segments: readonly SegmentName[];
  readonly #signal: AbortSignal | undefined;
  readonly #opened = new Map<number, Promise<Readable>>();

  constructor(
    place: ArchivePlace,
    timeline: number,
    segments: readonly SegmentName[],
    signal: AbortSignal | undefined,
  ) {
    this.#place = place;
    this.#timeline = timeline;
    this.#segments = segments;
    this.#signal = signal;
  }

  async open(index: number): Promise<{ key: string; stream: Readable }> {
    const last = Math.min(index + aheadOfReading, this.#segments.length - 1);
    for (let i = index; i <= last; i++) if (!this.#opened.has(i)) this.#opened.set(i, this.#read(i));
    for (const i of this.#opened.keys()) if (i < index) this.#discard(i);
    const stream = this.#opened.get(index)!;
    this.#opened.delete(index);
    return { key: this.#keyOf(index), stream: await stream };
  }

  close(): void {
    for (const index of this.#opened.keys()) this.#discard(index);
  }

  #keyOf = (index: number): string => segmentKey(this.#place.instance, this.#timeline, this.#segments[index]!.start);

  #read(index: number): Promise<Readable> {
    const opening = this.#place.repository.read(this.#keyOf(index), { signal: this.#signal });
    // Looked at when it is its turn; until then an error is nobody's.
    opening.then((stream) => stream.on('error', () => undefined)).catch(() => undefined);
    return opening;
  }

  #discard(index: number): void {
    this.#opened
      .get(index)
      ?.then((stream) => stream.destroy())
      .catch(() => undefined);
    this.#opened.delete(index);
  }
}

function assertBelongs(
  { instance }: ArchivePlace,
  header: SegmentHeader,
  key: string,
  timeline: number,
  identity: string,
): void {
  if (header.instance !== instance || header.timeline !== timeline || header.identity !== identity) {
    throw new RewindError('ARCHIVE_CHAIN_BROKEN', `${key} is of another server, instance or timeline.`, {
      details: { timeline, position: header.start },
    });
  }
}

function broken(instance: string, timeline: number, position: number, what: string): RewindError {
  return new RewindError(
    'ARCHIVE_CHAIN_BROKEN',
    `The archive of ${instance} does not go on at position ${position} of timeline ${timeline}: ${what}.`,
    { details: { timeline, position } },
  );
}
