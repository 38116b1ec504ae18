import { type BackupEntry, listBackups } from '../repository/catalogue.ts';
import type { Manifest, Verification } from '../repository/manifest.ts';
import { publishManifest, quarantine } from '../repository/publish.ts';
import type { Check } from '../sandbox/check.ts';
import type { DumpFacts } from '../sandbox/dump-facts.ts';
import type { ProofReport } from '../sandbox/prove.ts';
import type { InstanceContext } from './instance-context.ts';
import type { PreflightReport } from './preflight.ts';
import type { StoredBackupObject } from './store.ts';
import type { BackupSubject } from './subject.ts';
import { judge } from './verdict.ts';

export interface PublishRequest {
  readonly subject: BackupSubject;
  readonly preflight: PreflightReport;
  readonly dump: {
    readonly facts: DumpFacts;
    readonly checks: readonly Check[];
    readonly object: StoredBackupObject;
    /** Seconds of Redis' clock. */
    readonly save: { readonly startedAt: number; readonly endedAt: number };
  };
  readonly proof: ProofReport;
}

/** What later readers of the catalogue are shown; the manifest has the rest. */
export type PublishedBackup = Pick<
  BackupEntry,
  'id' | 'time' | 'tier' | 'sizeBytes' | 'keys' | 'state' | 'reason' | 'flagged'
>;

/**
 * Judges a backup by its checks and writes its manifest; one that a check contradicted goes under `failed/`.
 * Doing it again gives the manifest that stands.
 */
export async function publishBackup(context: InstanceContext, request: PublishRequest): Promise<PublishedBackup> {
  const { subject, dump, proof } = request;
  const earlier = await listBackups(context.repository, subject.instance);
  const previous = earlier.find(
    ({ state, id, manifest }) => state === 'verified' && id !== subject.backupId && !manifest?.moment,
  );
  const checks = [...dump.checks, ...proof.checks];
  const keys = dump.facts.walked ? dump.facts.keys : proof.load?.keysLoaded;
  const verdict = judge(checks, keys, previous?.keys, context.policy.backup.flagBelow);
  const manifest = { ...manifestOf(request, checks), ...verdict, flagged: flagOf(subject, verdict.flagged) };
  const {
    id,
    time,
    tier,
    sizeBytes,
    keys: total,
    state,
    reason,
    flagged,
  } = await (verdict.state === 'failed'
    ? quarantine(context.repository, manifest)
    : publishManifest(context.repository, manifest));
  return { id, time, tier, sizeBytes, keys: total, state, reason, flagged };
}

/** Taken in the middle of an incident it is no backup that a restore should choose by itself. */
function flagOf({ incident }: BackupSubject, flagged: string | undefined): string | undefined {
  if (incident === undefined) return flagged;
  const taken = `taken while ${incident} was open: it shows the incident`;
  return flagged === undefined ? taken : `${flagged}; ${taken}`;
}

function manifestOf(
  { subject, preflight, dump, proof }: PublishRequest,
  checks: readonly Check[],
): Omit<Manifest, 'state'> {
  const { facts, object, save } = dump;
  return {
    formatVersion: 1,
    instance: subject.instance,
    tier: subject.tier,
    backupId: subject.backupId,
    server: { ...preflight.server, identity: preflight.identity },
    rdb: { magic: facts.magic, version: facts.rdbVersion },
    source: preflight.source,
    // The dump's own second: what was written before it is in there.
    save: { startedAt: isoTime(facts.ctime ?? save.startedAt), endedAt: isoTime(save.endedAt) },
    replication: { id: facts.replicationId, offset: facts.replicationOffset },
    dump: {
      file: 'dump.rdb',
      sizeBytes: facts.sizeBytes,
      sha256: facts.sha256,
      compression: 'none',
      encryption: object.dump.encryption,
      storeChecksum: object.dump.checksum ?? null,
    },
    serverFile: { file: 'server.json', sizeBytes: object.serverJson.sizeBytes },
    keys: {
      total: facts.walked ? facts.keys : (proof.load?.keysLoaded ?? 0),
      withExpiry: facts.keysWithExpiry,
      byDatabase: facts.keysByDatabase,
    },
    functionLibraries: facts.functionLibraries,
    modules: [...facts.modules],
    verifications: checks.map(verificationOf),
    proof: measuredProof(proof),
  };
}

/** What a proof measured; undefined where nothing was loaded. */
export function measuredProof({ load, server, downloadMs = 0 }: ProofReport): Manifest['proof'] {
  return load && server && { downloadMs, loadMs: load.loadMs, server: { ...server } };
}

export const verificationOf = ({ name, result, detail, figures }: Check): Verification => ({
  name,
  result,
  detail,
  figures,
  time: new Date().toISOString(),
});

const isoTime = (seconds: number): string => new Date(seconds * 1000).toISOString();
