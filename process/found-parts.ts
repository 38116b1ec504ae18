import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import { stateFolder } from './state-folder.ts';

/** A real part (a server program) and where the bootstrap found it. */
export interface FoundPart {
  /** Absolute path of the program; redis-check-rdb lies beside a redis-server. */
  readonly path: string;
  readonly version: string;
  /** How it was had: `PATH`, or what it was fetched or built from. */
  readonly source: string;
}

/** A part that the bootstrap could not provide, and why. */
export interface MissingPart {
  readonly unavailable: string;
}

/**
 * What the bootstrap found, by part name (`temporal`, `redis`, `minio`, `redis-8.2`, …): the file that REWIND_PARTS names, else
 * `parts.json` in the state folder. Empty where no bootstrap ran.
 */
export function foundParts(): Readonly<Record<string, FoundPart | MissingPart>> {
  try {
    return JSON.parse(readFileSync(process.env.REWIND_PARTS ?? join(stateFolder(), 'parts.json'), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

/**
 * One part that has to be there.
 * @throws RewindError PART_UNAVAILABLE with the bootstrap's own reason
 */
export function foundPart(name: string): FoundPart {
  const part = foundParts()[name];
  if (part === undefined) throw new RewindError('PART_UNAVAILABLE', `${name}: the bootstrap was not asked for it yet`);
  if ('unavailable' in part) throw new RewindError('PART_UNAVAILABLE', `${name}: ${part.unavailable}`);
  return part;
}
