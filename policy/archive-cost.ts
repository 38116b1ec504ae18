import type { ArchivePolicy } from './archive-policy.ts';

/** What an archive asks of a store in a month of 30 days, where writes never stop: then every segment is as short as it gets. */
export interface ArchiveCost {
  readonly segments: number;
  /** PUT and LIST. */
  readonly writes: number;
  /** HEAD and GET. */
  readonly reads: number;
  /** Requests only, in US dollars; what is stored comes on top. */
  readonly usd: number;
}

const monthSeconds = 30 * 86_400;
/** Looks whether another agent has begun a timeline. */
const rivalSeconds = 30;
/** Of a closed hour: its object and its index. */
const hourObjects = 2 * 30 * 24;
/** S3 Standard, us-east-1, in US dollars for one request; https://aws.amazon.com/s3/pricing/ */
const price = { write: 0.005 / 1_000, read: 0.0004 / 1_000 };

export function archiveCost({ segmentMs }: Pick<ArchivePolicy, 'segmentMs'>): ArchiveCost {
  const segments = Math.ceil((monthSeconds * 1_000) / segmentMs);
  const writes = segments + monthSeconds / rivalSeconds + hourObjects;
  // Each is looked at after it was stored, and read once when its hour is closed.
  const reads = 2 * segments + hourObjects;
  return { segments, writes, reads, usd: writes * price.write + reads * price.read };
}
