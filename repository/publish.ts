import { createHash } from 'node:crypto';
import { RewindError } from '../errors/rewind-error.ts';
import { type BackupEntry, entryOf } from './catalogue.ts';
import {
  type BackupName,
  backupDirectory,
  backupObject,
  failedDirectory,
  utcTime,
  verificationsDirectory,
} from './layout.ts';
import {
  decodeDocument,
  encodeDocument,
  type LaterProof,
  laterProofSchema,
  MANIFEST_BYTES,
  type Manifest,
  manifestSchema,
} from './manifest.ts';
import type { Repository } from './repository.ts';

/**
 * Makes a backup of what is stored in its directory: the manifest goes last. Doing it again is fine, also with other
 * times in it; the first one stands.
 *
 * @returns the manifest that stands, as an entry of the catalogue
 * @throws OBJECT_EXISTS when another backup's manifest stands there
 */
export async function publishManifest(repository: Repository, manifest: Manifest): Promise<BackupEntry> {
  return entryOf(await writeManifest(repository, backupObject(manifest, 'manifest.json'), manifest));
}

/**
 * Takes a backup that a check contradicted out of reach: its objects go under `failed/`. The failed manifest is written
 * first, and the catalogue believes it over any other, so killed at any moment the backup cannot be restored; the same
 * call ends what was begun.
 *
 * @param manifest with state `failed` and the reason
 */
export async function quarantine(repository: Repository, manifest: Manifest): Promise<BackupEntry> {
  const failed = failedDirectory(manifest);
  const standing = await writeManifest(repository, `${failed}manifest.json`, { ...manifest, state: 'failed' });
  await repository.remove(backupObject(manifest, 'manifest.json'));
  await repository.move(backupDirectory(manifest), failed);
  return entryOf(standing);
}

/** Adds a proof that was made after the backup. Names are never overwritten, so it is an object of its own. */
export async function addVerification(repository: Repository, name: BackupName, proof: LaterProof): Promise<void> {
  const bytes = encodeDocument(laterProofSchema, proof);
  await repository.putSmall(
    `${verificationsDirectory(name)}${utcTime(new Date(proof.time))}-${digest(bytes)}.json`,
    bytes,
  );
}

async function writeManifest(repository: Repository, key: string, manifest: Manifest): Promise<Manifest> {
  const bytes = encodeDocument(manifestSchema, manifest);
  try {
    await repository.putSmall(key, bytes);
    return manifest;
  } catch (error) {
    if (!(error instanceof RewindError && error.code === 'OBJECT_EXISTS')) throw error;
    const standing = decodeDocument(manifestSchema, await repository.readSmall(key, MANIFEST_BYTES), key);
    const same = standing.dump.sha256 === manifest.dump.sha256 && standing.state === manifest.state;
    if (!same) throw error;
    return standing;
  }
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex').slice(0, 8);
