import { RewindError } from '../../errors/rewind-error.ts';

const MIB = 1024 * 1024;
/** S3's limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html */
export const MOST_PARTS = 10_000;
const LARGEST_OBJECT = 5 * 1024 * 1024 * MIB;

/** Measured against s5cmd: 16 MiB by 8 keeps pace, and is the memory that an upload may take. */
const PART = 16 * MIB;
const IN_FLIGHT = 8;
const MEMORY = PART * IN_FLIGHT;

/** Smaller parts, fewer at once, where a rate is to be kept: a part is what leaves in one burst. */
const SLOW_PART = 8 * MIB;
const SLOW_IN_FLIGHT = 2;

export interface PartPlan {
  readonly partSize: number;
  /** Parts in memory and under way at once. */
  readonly inFlight: number;
}

/**
 * Parts large enough that 10,000 suffice, up to 5 TiB. An upload takes partSize × inFlight bytes of memory: 128 MiB for
 * anything up to 1.2 TiB, one part (at most 525 MiB) beyond.
 *
 * @throws OBJECT_TOO_LARGE
 */
export function planParts(sizeBytes: number, options: { paced?: boolean; partSize?: number } = {}): PartPlan {
  if (sizeBytes > LARGEST_OBJECT) {
    throw new RewindError('OBJECT_TOO_LARGE', `${sizeBytes} bytes are more than an object store takes (5 TiB).`);
  }
  const needed = Math.ceil(sizeBytes / MOST_PARTS / MIB) * MIB;
  const partSize = options.partSize ?? Math.max(needed, options.paced ? SLOW_PART : PART);
  const most = options.paced ? SLOW_IN_FLIGHT : IN_FLIGHT;
  return { partSize, inFlight: Math.max(1, Math.min(most, Math.floor(MEMORY / partSize))) };
}

/** Parts of a file that is still being written go as fast as they come, which is slower than any store: two suffice. */
export function planAhead(sizeHint: number, options: { paced: boolean }): PartPlan {
  const { partSize } = planParts(2 * sizeHint, options);
  return { partSize, inFlight: SLOW_IN_FLIGHT };
}

/** Whether an upload that was begun with this part size can hold so many bytes: S3's smallest part is 5 MiB. */
export function canContinue(partSize: number, sizeBytes: number): boolean {
  return Number.isSafeInteger(partSize) && partSize >= 5 * MIB && sizeBytes <= partSize * MOST_PARTS;
}

/** One request copies up to 5 GiB; a larger object goes in pieces. */
const LARGEST_COPY = 5 * 1024 * MIB;
const COPY_PIECE = 1024 * MIB;

/** Byte ranges [start, end) by which an object is copied; one for what a single request can copy. */
export function planCopy(sizeBytes: number): { start: number; end: number }[] {
  if (sizeBytes <= LARGEST_COPY) return [{ start: 0, end: sizeBytes }];
  const ranges = [];
  for (let start = 0; start < sizeBytes; start += COPY_PIECE) {
    ranges.push({ start, end: Math.min(start + COPY_PIECE, sizeBytes) });
  }
  return ranges;
}
