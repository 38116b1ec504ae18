import { createHash } from 'node:crypto';
import * as z from 'zod';
import { RewindError } from '../errors/rewind-error.ts';
import { checkDocument, type DocumentKind, parseDocument } from '../repository/document.ts';
import { ARCHIVE_FORMAT_VERSION } from './records.ts';

/** What a header takes at most; a longer one is damage. */
export const headerBytes = 64 * 1024;
/** Marks of one segment; what follows a file writes fewer, so that its header stays short of its limit. */
const mostMarks = 2_000;

const position = z.int().nonnegative();
const timeMs = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/**
 * The first line of a segment, in JSON; behind its line feed stand bytes of one append-only file exactly as Redis wrote
 * them, whole commands only.
 */
export const segmentHeaderSchema = z.object({
  formatVersion: z.literal(ARCHIVE_FORMAT_VERSION),
  instance: z.string().min(1).max(128),
  identity: z.uuid(),
  timeline: z.int().positive(),
  /** Positions of its first byte and behind its last. */
  start: position,
  end: position,
  /** The append-only file that it is from, and where in it the first byte stood. */
  file: z.object({ name: z.string().min(1).max(255), offset: position }),
  /** Database that is selected before its first command. */
  db: z.int().nonnegative(),
  commands: z.int().nonnegative(),
  /** The first and the last time at which bytes of it were seen to have been written (Unix ms, clock of Redis' machine). */
  firstMs: timeMs,
  lastMs: timeMs,
  /**
   * `[ms, position]`, ascending: when looked at `ms`, the file went up to `position`. What stands between two marks was
   * written between their times, so that a moment is known as exactly as the file was looked at.
   */
  marks: z.array(z.tuple([timeMs, position])).max(mostMarks),
  /** Of `#TS:` annotations in it, Unix seconds; absent without any. */
  stamps: z.object({ first: z.int().nonnegative(), last: z.int().nonnegative() }).optional(),
  /** Of the bytes behind the header. */
  sha256,
  /** SHA-256 of the header line of the segment before it on this timeline; null for the first, and behind a gap. */
  previous: sha256.nullable(),
  /**
   * Position of the MULTI of a transaction that is open where the segment begins: only of one so long (64 MiB) that it was
   * cut into several segments.
   */
  transactionAt: position.optional(),
  /** Run id of the server whose file it is. */
  runId: z.string().max(64),
});
export type SegmentHeader = z.output<typeof segmentHeaderSchema>;

export interface Segment {
  readonly header: SegmentHeader;
  /** Of the header's line: what the next one has as `previous`. */
  readonly digest: string;
  readonly body: Uint8Array;
}

const kind: DocumentKind = { code: 'ARCHIVE_SEGMENT_DAMAGED', newestVersion: ARCHIVE_FORMAT_VERSION };

/** The object, and the digest that the next segment chains to. */
export function encodeSegment(
  header: Omit<SegmentHeader, 'formatVersion' | 'sha256'>,
  body: Uint8Array,
): { bytes: Buffer; header: SegmentHeader; digest: string } {
  const { line, digest, header: whole } = encodeSegmentHeader({ ...header, sha256: sha256Of(body) });
  if (whole.end - whole.start !== body.length) {
    throw damaged('a segment', `its header does not fit its ${body.length} bytes`);
  }
  return { bytes: Buffer.concat([line, body]), header: whole, digest };
}

/** Its first line with the line feed, for a body that is too long to be held. @param header with the body's SHA-256 */
export function encodeSegmentHeader(header: Omit<SegmentHeader, 'formatVersion'>): {
  line: Buffer;
  header: SegmentHeader;
  digest: string;
} {
  const whole: SegmentHeader = { ...header, formatVersion: ARCHIVE_FORMAT_VERSION };
  const line = Buffer.from(JSON.stringify(checkDocument(kind, segmentHeaderSchema, whole, 'a segment')));
  if (line.length > headerBytes) throw damaged('a segment', `its header takes ${line.length} bytes`);
  return { line: Buffer.concat([line, lineFeed]), header: whole, digest: sha256Of(line) };
}

/**
 * Takes apart a segment that begins at `at`, and proves its bytes.
 *
 * @param key what it is called in errors
 * @returns it, and where the next one begins in `bytes` (an hour's object has one behind the other)
 * @throws ARCHIVE_SEGMENT_DAMAGED
 */
export function decodeSegment(bytes: Buffer, key: string, at = 0): Segment & { next: number } {
  const { header, digest, bodyAt } = decodeSegmentHeader(bytes, key, at);
  const next = bodyAt + header.end - header.start;
  if (next > bytes.length) throw damaged(key, `it ends ${next - bytes.length} bytes too early`);
  const body = bytes.subarray(bodyAt, next);
  if (sha256Of(body) !== header.sha256) {
    throw damaged(key, 'its bytes are not those that were written (SHA-256)');
  }
  return { header, digest, body, next };
}

/** Only its header: the first `headerBytes` of an object are enough. @throws ARCHIVE_SEGMENT_DAMAGED */
export function decodeSegmentHeader(
  bytes: Buffer,
  key: string,
  at = 0,
): { header: SegmentHeader; digest: string; bodyAt: number } {
  const end = bytes.subarray(at, at + headerBytes + 1).indexOf(0x0a);
  if (end < 0) throw damaged(key, 'its header does not end');
  const line = bytes.subarray(at, at + end);
  const header = parseDocument(kind, segmentHeaderSchema, line, key);
  const { start, marks, firstMs, lastMs } = header;
  const ascending = marks.every(([, upTo], i) => upTo <= header.end && upTo >= (marks[i - 1]?.[1] ?? start));
  if (header.end <= start || firstMs > lastMs || !ascending) throw damaged(key, 'its header contradicts itself');
  return { header, digest: sha256Of(line), bodyAt: at + end + 1 };
}

const lineFeed = Buffer.from('\n');

const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

function damaged(key: string, what: string): RewindError {
  return new RewindError('ARCHIVE_SEGMENT_DAMAGED', `${key} cannot be read: ${what}.`);
}
