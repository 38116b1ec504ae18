import {
  backupDirectory,
  parseBackupKey,
  type Tier,
  tierDirectory,
  tiers,
  timeOfBackupId,
} from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import type { BackupSubject } from './subject.ts';

/** No run goes on for so long; what it left without a manifest is nobody's, in milliseconds. */
const ABANDONED_AFTER_MS = 48 * 3_600_000;

/**
 * Removes what this run stored when no backup became of it. A directory with a manifest is never touched.
 *
 * @returns how many objects and open uploads
 */
export async function removeHalfMade(repository: Repository, subject: BackupSubject): Promise<number> {
  const keys = await keysBelow(repository, backupDirectory(subject));
  if (keys.some(isManifest)) return 0;
  return removeDirectory(repository, backupDirectory(subject), keys);
}

/** Removes what earlier runs of the instance left that were terminated, or whose Temporal was lost. */
export async function removeAbandoned(repository: Repository, instance: string): Promise<number> {
  let removed = 0;
  for (const tier of tiers) {
    for (const [directory, { begun, keys }] of await directoriesOf(repository, tier, instance)) {
      if (keys.some(isManifest) || Date.now() - begun.getTime() < ABANDONED_AFTER_MS) continue;
      removed += await removeDirectory(repository, directory, keys);
    }
  }
  return removed;
}

/** Objects by backup, each with the time in its id. */
async function directoriesOf(repository: Repository, tier: Tier, instance: string) {
  const directories = new Map<string, { begun: Date; keys: string[] }>();
  for (const key of await keysBelow(repository, tierDirectory(tier, instance))) {
    const backup = parseBackupKey(key, tier, instance);
    if (!backup) continue;
    const directory = backupDirectory(backup.name);
    const found = directories.get(directory) ?? { begun: timeOfBackupId(backup.name.backupId) as Date, keys: [] };
    directories.set(directory, found);
    found.keys.push(key);
  }
  return directories;
}

const isManifest = (key: string): boolean => key.endsWith('/manifest.json');

async function keysBelow(repository: Repository, directory: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of repository.list(directory)) keys.push(key);
  return keys;
}

async function removeDirectory(repository: Repository, directory: string, keys: readonly string[]): Promise<number> {
  for (const key of keys) await repository.remove(key);
  return keys.length + (await repository.sweepUploads(directory));
}
