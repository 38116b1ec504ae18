import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { configurationOf } from '../../redis/config-diff.ts';
import { localSettings } from '../crash/local-settings.ts';
import { type AofEvidence, flushesInAof } from './flush-in-aof.ts';

/**
 * What the append-only file of a server on this machine says of flushes; undefined where it is off. That it cannot be read is
 * no reason to know nothing.
 *
 * @throws AOF_CANCELLED
 */
export async function flushesInLiveAof(redis: Redis, io: StepIO): Promise<AofEvidence | undefined> {
  try {
    const settings = localSettings(configurationOf((await redis.config('GET', '*')) as string[]), 'CONFIG GET');
    return settings?.appendonly ? await flushesInAof(settings, io) : undefined;
  } catch (error) {
    if (io.signal.aborted) throw error;
    const why =
      error instanceof RewindError ? error.code : String((error as NodeJS.ErrnoException).code ?? 'CONFIG GET');
    const unknown = [`when it was, by the append-only file: it could not be read (${why})`];
    return { flushes: [], flushCount: 0, deletedKeys: {}, sentences: [], unknown };
  }
}
