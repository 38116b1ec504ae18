import * as z from 'zod';
import { checkDocument, type DocumentKind, parseDocument } from '../repository/document.ts';
import { ARCHIVE_FORMAT_VERSION } from './records.ts';

/** Segments that one hour's object takes at most; a busier hour has several objects. */
export const mostSegmentsOfHour = 8_192;
/** Bytes of an index at most: a segment takes less than 128 in it. */
export const hourIndexBytes = 2 * 1024 * 1024;

const position = z.int().nonnegative();
const timeMs = z.int().nonnegative();

/** Where each segment of an hour's object is: `[start, end, at, firstMs, lastMs]`, `at` its header's offset in the object. */
export const hourIndexSchema = z.object({
  formatVersion: z.literal(ARCHIVE_FORMAT_VERSION),
  instance: z.string().min(1).max(128),
  identity: z.uuid(),
  timeline: z.int().positive(),
  /** Of the object with the segments. */
  sizeBytes: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  segments: z
    .array(z.tuple([position, position, z.int().nonnegative(), timeMs, timeMs]))
    .min(1)
    .max(mostSegmentsOfHour),
});
export type HourIndex = z.output<typeof hourIndexSchema>;

const kind: DocumentKind = { code: 'ARCHIVE_RECORD_INVALID', newestVersion: ARCHIVE_FORMAT_VERSION };

/** @throws ARCHIVE_RECORD_INVALID, also where its segments do not follow one another */
export function decodeHourIndex(bytes: Buffer, key: string): HourIndex {
  return follows(parseDocument(kind, hourIndexSchema, bytes, key), key);
}

/** In one line: an hour has thousands of segments. @throws ARCHIVE_RECORD_INVALID */
export function encodeHourIndex(index: HourIndex, key: string): Buffer {
  return Buffer.from(`${JSON.stringify(follows(checkDocument(kind, hourIndexSchema, index, key), key))}\n`);
}

function follows(index: HourIndex, key: string): HourIndex {
  const { segments } = index;
  const ordered = segments.every(([start, end, at], i) => {
    const before = segments[i - 1];
    return start < end && (before === undefined ? at === 0 : before[1] === start && before[2] < at);
  });
  if (!ordered) checkDocument(kind, z.never(), index, key);
  return index;
}
