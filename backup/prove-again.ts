import { RewindError } from '../errors/rewind-error.ts';
import { findBackup } from '../repository/catalogue.ts';
import type { Manifest } from '../repository/manifest.ts';
import { addVerification, quarantine } from '../repository/publish.ts';
import type { Check } from '../sandbox/check.ts';
import type { ProofReport, ProofRequest } from '../sandbox/prove.ts';
import type { InstanceContext } from './instance-context.ts';
import { measuredProof, type PublishedBackup, verificationOf } from './publish.ts';
import { judge } from './verdict.ts';

/**
 * What a proof of a stored backup needs, from the repository alone.
 *
 * @throws BACKUP_UNKNOWN, BACKUP_UNUSABLE for one that failed, whose dump is gone, or whose manifest cannot be read
 */
export async function provable(context: InstanceContext, backupId: string): Promise<ProofRequest> {
  const { manifest, directory } = await usable(context, backupId);
  return {
    id: backupId,
    key: `${directory}${manifest.dump.file}`,
    sizeBytes: manifest.dump.sizeBytes,
    facts: {
      // Version 0 stands for a dump that the reader could not walk.
      walked: manifest.rdb.version > 0,
      sha256: manifest.dump.sha256,
      origin: { serverName: manifest.server.name, serverVersion: manifest.server.version },
      usedMemoryBytes: 0,
      modules: manifest.modules,
      keys: manifest.keys.total,
      keysWithExpiry: manifest.keys.withExpiry,
      highestDatabase: Math.max(0, ...Object.keys(manifest.keys.byDatabase).map(Number)),
      functionLibraries: manifest.functionLibraries,
    },
  };
}

/** Judges a backup anew with a later proof and records it; a contradiction takes the backup out of reach. */
export async function recordProof(
  context: InstanceContext,
  backupId: string,
  proof: ProofReport,
): Promise<PublishedBackup> {
  const { manifest, ...entry } = await usable(context, backupId);
  const made = new Set(proof.checks.map(({ name }) => name));
  const kept = manifest.verifications.filter(({ name }) => !made.has(name as Check['name']));
  const verdict = judge([...(kept as Check[]), ...proof.checks], manifest.keys.total, undefined, 0);
  const verifications = proof.checks.map(verificationOf);
  const { id, time, tier, sizeBytes, keys } = entry;
  const published = { id, time, tier, sizeBytes, keys, ...verdict, flagged: manifest.flagged };
  if (verdict.state === 'failed') {
    await quarantine(context.repository, { ...manifest, ...verdict, verifications: [...kept, ...verifications] });
    return published;
  }
  await addVerification(context.repository, entry.name, {
    formatVersion: 1,
    backupId,
    time: new Date().toISOString(),
    state: verdict.state,
    reason: verdict.reason,
    verifications,
    proof: measuredProof(proof),
  });
  return published;
}

async function usable(context: InstanceContext, backupId: string) {
  const found = await findBackup(context.repository, context.policy.instance, backupId);
  const { manifest, state, reason } = found;
  if (!manifest || state === 'failed' || state === 'expired') {
    throw new RewindError('BACKUP_UNUSABLE', `${backupId} is ${state}: ${reason ?? 'a check contradicted it'}.`);
  }
  return { ...found, manifest: manifest as Manifest };
}
