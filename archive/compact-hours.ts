import { createHash } from 'node:crypto';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO } from '../process/step-io.ts';
import { encodeHourIndex, type HourIndex, mostSegmentsOfHour } from './hour-index.ts';
import { type HourName, hourKey, segmentKey } from './layout.ts';
import { readChain, readHeaderAt, readHourIndex } from './read/chain.ts';
import type { SegmentName, TimelineNames } from './read/listing.ts';
import type { ArchivePlace } from './read/records.ts';
import { namesOf, viewArchive } from './read/timelines.ts';

export interface CompactOptions {
  /** Unix ms. Default: now. */
  readonly now?: number;
  /**
   * How long segments stay beside the hour that they became: whoever listed before it was there may still read them. In ms.
   * Default: an hour.
   */
  readonly keepSegmentsMs?: number;
}

export interface Compacted {
  readonly hours: number;
  /** Segments that became hours now, and segments of earlier hours that were removed. */
  readonly segments: number;
  readonly removed: number;
  /** Sentences: what could not be compacted, and why. */
  readonly tells: readonly string[];
}

const hourMs = 3_600_000;
/** A segment may be stored somewhat later than its hour ended. */
const graceMs = 5 * 60_000;
/** One object takes so much at most, in bytes: what a restore reads of it is a part of it anyway. */
const mostBytes = 1024 ** 3;

/**
 * Makes one object of each closed hour's segments, proven on their way, and removes those of earlier hours. The index is
 * written last and nothing is removed that it does not have, so that killed anywhere the same call goes on; twice is once.
 * The newest segment of a timeline always stays: whoever follows the file goes on from it.
 *
 * @throws those of the store
 */
export async function compactHours(place: ArchivePlace, io: StepIO, options: CompactOptions = {}): Promise<Compacted> {
  const now = options.now ?? Date.now();
  const view = await viewArchive(place);
  const done = { hours: 0, segments: 0, removed: 0 };
  const tells: string[] = [];
  for (const [timeline, { identity }] of view.timelines) {
    const names = namesOf(view, timeline);
    done.removed += await removeCovered(place, names, now - (options.keepSegmentsMs ?? hourMs), io);
    for (const group of closedGroups(names, now)) {
      io.signal.throwIfAborted();
      try {
        await compact(place, names, identity, group, io);
        done.hours += 1;
        done.segments += group.length;
      } catch (error) {
        // What is damaged stays as it is, where a proof finds it.
        if (!(error instanceof RewindError) || !/^ARCHIVE_(CHAIN|SEGMENT|RECORD)/.test(error.code)) throw error;
        tells.push(error.message);
      }
    }
  }
  return { ...done, tells };
}

/** Runs of segments of one closed hour each, by when they were stored; without those that an hour has already. */
function closedGroups(names: TimelineNames, now: number): SegmentName[][] {
  const covered = ({ start }: SegmentName) => names.hours.some((hour) => hour.start <= start && start < hour.end);
  const gaps = names.events.filter(({ kind }) => kind === 'gap').map(({ position }) => position);
  const groups: SegmentName[][] = [];
  let current: SegmentName[] = [];
  let bytes = 0;
  for (const segment of names.segments.slice(0, -1)) {
    const hour = Math.floor(segment.storedMs / hourMs);
    if (covered(segment) || (hour + 1) * hourMs + graceMs > now) {
      current = [];
      continue;
    }
    const last = current.at(-1);
    const goesOn =
      last !== undefined &&
      Math.floor(last.storedMs / hourMs) === hour &&
      current.length < mostSegmentsOfHour &&
      bytes + segment.sizeBytes <= mostBytes &&
      !gaps.some((position) => last.start < position && position <= segment.start);
    if (!goesOn) {
      current = [];
      bytes = 0;
      groups.push(current);
    }
    current.push(segment);
    bytes += segment.sizeBytes;
  }
  return groups;
}

async function compact(
  place: ArchivePlace,
  names: TimelineNames,
  identity: string,
  group: readonly SegmentName[],
  io: StepIO,
): Promise<void> {
  const { repository, instance } = place;
  const { timeline } = names;
  const singles = { ...names, hours: [], segments: group };
  const [first, last] = await Promise.all([
    readHeaderAt(place, singles, identity, group[0]!.start, io.signal),
    readHeaderAt(place, singles, identity, group.at(-1)!.start, io.signal),
  ]);
  const { start, firstMs } = first.header;
  const { end } = last.header;
  const name: HourName = { start, end, firstMs, lastMs: Math.max(firstMs, last.header.lastMs) };
  const segments: HourIndex['segments'] = [];
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const bytes = async function* () {
    const range = { timeline, from: start, to: end };
    for await (const part of readChain(place, singles, range, { identity }, io.signal)) {
      if (part.part === 'end') continue;
      const chunk = part.part === 'header' ? part.line : part.bytes;
      if (part.part === 'header') {
        const { header } = part;
        segments.push([header.start, header.end, sizeBytes, header.firstMs, header.lastMs]);
      }
      hash.update(chunk);
      sizeBytes += chunk.length;
      io.onProgress({ phase: 'compact', done: sizeBytes, unit: 'bytes' });
      yield Uint8Array.from(chunk);
    }
  };
  const sizeHint = group.reduce((sum, each) => sum + each.sizeBytes, 0);
  await repository.putStream(hourKey(instance, timeline, name, 'segs'), bytes(), { sizeHint, signal: io.signal });
  const key = hourKey(instance, timeline, name, 'json');
  const index: HourIndex = {
    formatVersion: 1,
    instance,
    identity,
    timeline,
    sizeBytes,
    sha256: hash.digest('hex'),
    segments,
  };
  await repository.putSmall(key, encodeHourIndex(index, key));
}

/** Removes segments that an hour's index has and that were stored long enough ago. */
async function removeCovered(
  place: ArchivePlace,
  names: TimelineNames,
  storedBefore: number,
  io: StepIO,
): Promise<number> {
  let removed = 0;
  for (const hour of names.hours) {
    const within = names.segments.slice(0, -1).filter(({ start }) => hour.start <= start && start < hour.end);
    const old = within.filter(({ storedMs }) => storedMs + hourMs + graceMs < storedBefore);
    if (old.length === 0) continue;
    const { segments, sizeBytes } = await readHourIndex(place, names.timeline, hour);
    const stored = await place.repository.stat(hourKey(place.instance, names.timeline, hour, 'segs'));
    if (stored?.sizeBytes !== sizeBytes) continue;
    const has = new Set(segments.map(([start]) => start));
    for (const { start } of old) {
      io.signal.throwIfAborted();
      if (!has.has(start)) continue;
      await place.repository.remove(segmentKey(place.instance, names.timeline, start));
      removed += 1;
    }
  }
  return removed;
}
