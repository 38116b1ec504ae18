import type { InstanceConfig } from '../config/config.ts';

/** How what an instance writes is followed into the repository. */
export interface ArchivePolicy {
  /** `file`: its append-only file, by the agent beside it; `replication`: what it sends to its replicas, from anywhere. */
  readonly from: 'file' | 'replication';
  readonly segmentBytes: number;
  /** Age of the first unshipped byte at which a segment is cut. */
  readonly segmentMs: number;
  readonly spoolBytes: number;
  readonly keepMomentsSeconds: number;
  readonly onLoss: 'alert' | 'fence';
}

const longestSegmentMs = 3_000;
const shortestSegmentMs = 200;
/** Of the time whose writes may be lost; the rest is for the store. */
const shareOfObjective = 1 / 4;

/** As config/instance-schema.ts has them. */
const usual = {
  segmentBytes: 4 * 1024 * 1024,
  spoolBytes: 2 * 1024 ** 3,
  keepMomentsSeconds: 30 * 86_400,
  onLoss: 'alert',
} as const;

/** By what the configuration says, else by the class of the data. @returns undefined where it is not archived */
export function archivePolicy(
  { archive, dataClass }: Pick<InstanceConfig, 'archive' | 'dataClass'>,
  source: 'agent' | 'replication',
  rpoSeconds: number | undefined,
): ArchivePolicy | undefined {
  const wanted = archive ?? dataClass === 'audit-log';
  if (wanted === false || dataClass === 'cache') return undefined;
  const asked = rpoSeconds === undefined ? longestSegmentMs : rpoSeconds * 1_000 * shareOfObjective;
  const segmentMs = Math.max(shortestSegmentMs, Math.min(longestSegmentMs, asked));
  const byDefault = source === 'agent' ? 'file' : 'replication';
  if (wanted === true) return { from: byDefault, ...usual, segmentMs };
  const { from = byDefault, segmentBytes, segmentEverySeconds, spoolBytes, keepMomentsSeconds, onLoss } = wanted;
  return {
    // Without an agent nobody can read the file.
    from: source === 'agent' ? from : 'replication',
    segmentBytes,
    segmentMs: segmentEverySeconds === undefined ? segmentMs : segmentEverySeconds * 1_000,
    spoolBytes,
    keepMomentsSeconds,
    onLoss,
  };
}
