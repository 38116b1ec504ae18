import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import { findOnPath } from './program-path.ts';
import { stateFolder } from './state-folder.ts';

/** A real part (a server program) and where the bootstrap found it. */
export interface FoundPart {
  /** Absolute path of the program; redis-check-rdb lies beside a redis-server. */
  readonly path: string;
  /** As the bootstrap read it; absent where no bootstrap ran. */
  readonly version?: string;
  /** How it was had: `PATH`, or what it was fetched or built from. */
  readonly source: string;
}

/** A part that the bootstrap could not provide, and why. */
export interface MissingPart {
  readonly unavailable: string;
}

/** Where the bootstrap wrote down what it found: the file that REWIND_PARTS names, else `parts.json` in the state folder. */
export function partsFile(): string {
  return process.env.REWIND_PARTS ?? join(stateFolder(), 'parts.json');
}

/** What the bootstrap found, by part name (`temporal`, `redis`, `minio`, `redis-8.2`, …). Empty where no bootstrap ran. */
export function foundParts(): Readonly<Record<string, FoundPart | MissingPart>> {
  try {
    return JSON.parse(readFileSync(partsFile(), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw error;
  }
}

/** The programs that an installation without a bootstrap (the published package, an image) may have on PATH. */
const programs: Readonly<Record<string, string>> = { temporal: 'temporal', redis: 'redis-server' };

/**
 * One part that has to be there: as the bootstrap found it; where none ran, the program on PATH.
 * @throws RewindError PART_UNAVAILABLE with the reason
 */
export function foundPart(name: string): FoundPart {
  const part = foundParts()[name];
  if (part !== undefined && 'path' in part) return part;
  if (part !== undefined) throw new RewindError('PART_UNAVAILABLE', `${name}: ${part.unavailable}`);
  const program = programs[name];
  const path = program === undefined ? undefined : findOnPath(program, process.env.PATH);
  if (path !== undefined) return { path, source: 'PATH' };
  throw new RewindError(
    'PART_UNAVAILABLE',
    `${name}: no ${program ?? name} on PATH, and no bootstrap was asked for it`,
  );
}
