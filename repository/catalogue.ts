import { RewindError } from '../errors/rewind-error.ts';
import {
  type BackupName,
  backupDirectory,
  backupObject,
  failedDirectory,
  parseBackupKey,
  type Tier,
  tierDirectory,
  tiers,
  timeOfBackupId,
} from './layout.ts';
import {
  assertManifestOf,
  decodeDocument,
  type LaterProof,
  laterProofSchema,
  MANIFEST_BYTES,
  type Manifest,
  manifestSchema,
} from './manifest.ts';
import { mapBounded } from './map-bounded.ts';
import type { Repository } from './repository.ts';

/** A backup as `rewind backups --json` prints it. */
export interface BackupEntry {
  readonly id: string;
  /** ISO 8601: when the save began, by Redis' clock; where the manifest cannot be read, the time in the id. */
  readonly time: string;
  readonly tier: Tier;
  readonly sizeBytes: number;
  readonly keys: number;
  /** `expired`: its dump is gone, or not the one that was stored. */
  readonly state: 'verified' | 'unproven' | 'failed' | 'expired';
  /** Why it is not verified. */
  readonly reason?: string;
  /** A sentence where the backup may itself show the disaster. */
  readonly flagged?: string;
  /** When its last proof was made. */
  readonly verifiedAt?: string;
}

/** A backup with all that the repository knows of it. */
export interface CataloguedBackup extends BackupEntry {
  readonly name: BackupName;
  /** Where its objects are: below `failed/` for one that a check contradicted. */
  readonly directory: string;
  /** Absent where it cannot be read: such a backup cannot be restored. */
  readonly manifest?: Manifest;
}

/** Manifests read at once: enough to hide a store's latency, few enough to leave it alone. */
const AT_ONCE = 16;
/** Later proofs of one backup that are looked at, the newest ones. */
const PROOFS = 20;

/** As `addVerification` names them. */
const LATER_PROOF = /^verifications\/\d{8}T\d{6}Z-[0-9a-f]+\.json$/;

/** What a listing of names says of one backup. */
interface Found {
  readonly name: BackupName;
  readonly failed: boolean;
  readonly dumpBytes?: number;
  readonly proofs: readonly string[];
}

/**
 * The backups of an instance, newest first by what they hold: a moment of the archive that was made here has an id of
 * midnight, so that asked for again it is the same one. Only what has a manifest is one; what cannot be read is listed with its
 * reason and stops nothing.
 *
 * @param options.all also those that failed a check
 */
export async function listBackups(
  repository: Repository,
  instance: string,
  options: { all?: boolean } = {},
): Promise<CataloguedBackup[]> {
  const found = await findAll(repository, instance);
  const failed = new Set(found.filter((backup) => backup.failed).map(({ name }) => name.backupId));
  const wanted = found.filter((backup) => (backup.failed ? options.all : !failed.has(backup.name.backupId)));
  const backups = await mapBounded(wanted, AT_ONCE, (backup) => readBackup(repository, backup));
  return backups.sort((a, b) => b.time.localeCompare(a.time) || b.id.localeCompare(a.id));
}

/**
 * One backup, failed ones too.
 *
 * @throws BACKUP_UNKNOWN
 */
export async function findBackup(repository: Repository, instance: string, id: string): Promise<CataloguedBackup> {
  const found = await findAll(repository, instance);
  const matching = found.filter(({ name }) => name.backupId === id);
  const one = matching.find(({ failed }) => failed) ?? matching[0];
  if (!one) throw new RewindError('BACKUP_UNKNOWN', `${instance} has no backup ${JSON.stringify(id.slice(0, 64))}.`);
  return readBackup(repository, one);
}

/** When the newest backup of each tier was begun, by the ids alone: no manifest is read. */
export async function latestByTier(repository: Repository, instance: string): Promise<Partial<Record<Tier, Date>>> {
  const latest: Partial<Record<Tier, Date>> = {};
  for (const { name, failed } of await findAll(repository, instance)) {
    const at = timeOfBackupId(name.backupId) as Date;
    if (!failed && at > (latest[name.tier] ?? 0)) latest[name.tier] = at;
  }
  return latest;
}

/** The published form of a manifest, without asking the repository. */
export function entryOf(manifest: Manifest): BackupEntry {
  return {
    id: manifest.backupId,
    time: manifest.save.startedAt,
    tier: manifest.tier,
    sizeBytes: manifest.dump.sizeBytes,
    keys: manifest.keys.total,
    state: manifest.state,
    reason: manifest.reason,
    flagged: manifest.flagged,
    verifiedAt: manifest.verifications.at(-1)?.time,
  };
}

async function findAll(repository: Repository, instance: string): Promise<Found[]> {
  const places = tiers.flatMap((tier) => [false, true].map((failed) => ({ tier, failed })));
  return (await Promise.all(places.map(({ tier, failed }) => findIn(repository, instance, tier, failed)))).flat();
}

async function findIn(repository: Repository, instance: string, tier: Tier, failed: boolean): Promise<Found[]> {
  const backups = new Map<string, { name: BackupName; manifest: boolean; dumpBytes?: number; proofs: string[] }>();
  const directory = `${failed ? 'failed/' : ''}${tierDirectory(tier, instance)}`;
  for await (const { key, sizeBytes } of repository.list(directory)) {
    const parsed = parseBackupKey(key, tier, instance, failed);
    if (!parsed) continue;
    const { name, file } = parsed;
    let backup = backups.get(name.backupId);
    if (!backup) backups.set(name.backupId, (backup = { name, manifest: false, proofs: [] }));
    if (file === 'manifest.json') backup.manifest = true;
    else if (file === 'dump.rdb') backup.dumpBytes = sizeBytes;
    else if (LATER_PROOF.test(file)) backup.proofs.push(key);
  }
  return [...backups.values()]
    .filter(({ manifest }) => manifest)
    .map(({ name, dumpBytes, proofs }) => ({ name, failed, dumpBytes, proofs: proofs.sort().slice(-PROOFS) }));
}

async function readBackup(
  repository: Repository,
  { name, failed, dumpBytes, proofs }: Found,
): Promise<CataloguedBackup> {
  const directory = failed ? failedDirectory(name) : backupDirectory(name);
  const key = failed ? `${directory}manifest.json` : backupObject(name, 'manifest.json');
  const place = { name, directory };
  try {
    const manifest = decodeDocument(manifestSchema, await repository.readSmall(key, MANIFEST_BYTES), key);
    assertManifestOf(name, manifest, key);
    const entry = { ...entryOf(manifest), ...place, manifest };
    if (failed) return { ...entry, state: 'failed' };
    if (dumpBytes === undefined)
      return { ...entry, state: 'expired', reason: 'its dump is not in the repository any more' };
    if (dumpBytes !== manifest.dump.sizeBytes) {
      const reason = `its dump has ${dumpBytes} bytes, ${manifest.dump.sizeBytes} were stored`;
      return { ...entry, state: 'expired', reason };
    }
    return { ...entry, ...(await latestProof(repository, name, proofs, manifest)) };
  } catch (error) {
    if (!(error instanceof RewindError) || !unreadable.has(error.code)) throw error;
    const time = (timeOfBackupId(name.backupId) as Date).toISOString();
    const state = failed ? 'failed' : 'unproven';
    return {
      ...place,
      id: name.backupId,
      time,
      tier: name.tier,
      sizeBytes: dumpBytes ?? 0,
      keys: 0,
      state,
      reason: error.message,
    };
  }
}

/** What is wrong with one backup and not with the repository. */
const unreadable = new Set<string>(['MANIFEST_INVALID', 'OBJECT_TOO_LARGE', 'OBJECT_MISSING', 'OBJECT_DIFFERS']);

/** A proof made later: a contradiction stands for ever, a proof is not undone by one that was not possible. */
async function latestProof(
  repository: Repository,
  name: BackupName,
  keys: readonly string[],
  manifest: Manifest,
): Promise<Partial<BackupEntry>> {
  const proofs: LaterProof[] = [];
  for (const key of keys) {
    try {
      const proof = decodeDocument(laterProofSchema, await repository.readSmall(key, MANIFEST_BYTES), key);
      if (proof.backupId === name.backupId) proofs.push(proof);
    } catch (error) {
      // A damaged proof proves nothing; what the manifest says stands.
      if (!(error instanceof RewindError) || !unreadable.has(error.code)) throw error;
    }
  }
  const decisive =
    proofs.findLast(({ state }) => state === 'failed') ??
    proofs.findLast(({ state }) => state === 'verified') ??
    (manifest.state === 'unproven' ? proofs.at(-1) : undefined);
  return decisive ? { state: decisive.state, reason: decisive.reason, verifiedAt: decisive.time } : {};
}
