import { createHash } from 'node:crypto';
import { type InspectOptions, inspectRdb, type SampledKey } from '../rdb/inspect.ts';
import type { RdbSource } from '../rdb/source.ts';

export interface Sample {
  readonly keys: readonly SampledKey[];
  /** Keys in the whole dump, walked anew from the downloaded bytes. */
  readonly walked: number;
  /** SHA-256 of the code of each function library, sorted. */
  readonly functions: readonly string[];
  /** Values of modules and the like: loaded and counted, but no command tells all of their content. */
  readonly uncompared: number;
  /** Unix ms: keys and hash fields that expire before it were left out, and have to be on the other side, too. */
  readonly aliveAt: number;
}

/** What is to expire before it is looked at is not compared: within this time, and what fetching and loading the dump takes. */
const MARGIN_MS = 2 * 60_000;
const SLOW_BYTES_PER_MS = 20_000;

/** Which keys are picked. */
export interface SampleRequest {
  readonly count: number;
  /** Of the backup: another one, another pick. */
  readonly id: string;
  readonly sizeBytes: number;
}

/** Picks keys of a downloaded dump at random and reads their content, also while it is still being downloaded. */
export async function inspectSample(
  source: RdbSource,
  { count, id, sizeBytes }: SampleRequest,
  options: Pick<InspectOptions, 'signal' | 'growsUntil'>,
): Promise<Sample> {
  const seed = createHash('sha256').update(id).digest().readUInt32LE(0);
  const sampleAt = async (aliveAt: number): Promise<Sample> => {
    const inspection = await inspectRdb(source, { ...options, sample: { count, seed, aliveAt } });
    return {
      keys: inspection.sample ?? [],
      walked: inspection.keys,
      functions: inspection.functions.map(({ sha256 }) => sha256).sort(),
      uncompared: inspection.undecodableCount,
      aliveAt,
    };
  };
  const sample = await sampleAt(Date.now() + MARGIN_MS + sizeBytes / SLOW_BYTES_PER_MS);
  // Where everything is short-lived (a rate limit), what has not expired yet is better than nothing.
  return sample.keys.length > 0 || sample.walked === 0 ? sample : sampleAt(Date.now());
}
