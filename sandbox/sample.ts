import { createHash } from 'node:crypto';
import { inspectRdb, type SampledKey } from '../rdb/inspect.ts';

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

/** What is to expire within this time of a proof's start is not compared: it may be gone before it is looked at. */
const MARGIN_MS = 2 * 60_000;

/** Picks keys of a downloaded dump at random and reads their content; another backup, another pick. */
export async function inspectSample(path: string, count: number, id: string, signal: AbortSignal): Promise<Sample> {
  const seed = createHash('sha256').update(id).digest().readUInt32LE(0);
  const sampleAt = async (aliveAt: number): Promise<Sample> => {
    const inspection = await inspectRdb({ path }, { sample: { count, seed, aliveAt }, signal });
    return {
      keys: inspection.sample ?? [],
      walked: inspection.keys,
      functions: inspection.functions.map(({ sha256 }) => sha256).sort(),
      uncompared: inspection.undecodableCount,
      aliveAt,
    };
  };
  const sample = await sampleAt(Date.now() + MARGIN_MS);
  // Where everything is short-lived (a rate limit), what has not expired yet is better than nothing.
  return sample.keys.length > 0 || sample.walked === 0 ? sample : sampleAt(Date.now());
}
