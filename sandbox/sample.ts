import { createHash } from 'node:crypto';
import { inspectRdb, type SampledKey } from '../rdb/inspect.ts';

export interface Sample {
  readonly keys: readonly SampledKey[];
  /** Keys in the whole dump, walked anew from the downloaded bytes. */
  readonly walked: number;
}

/** Picks keys of a downloaded dump at random and reads their content; another backup, another pick. */
export async function inspectSample(path: string, count: number, id: string, signal: AbortSignal): Promise<Sample> {
  const seed = createHash('sha256').update(id).digest().readUInt32LE(0);
  const inspection = await inspectRdb({ path }, { sample: { count, seed }, signal });
  return { keys: inspection.sample ?? [], walked: inspection.keys };
}
