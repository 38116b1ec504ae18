import type { BackupEntry } from '../repository/catalogue.ts';
import { listBackups, publishManifest } from '../repository/catalogue.ts';
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

export async function publishBackup(context: InstanceContext, request: PublishRequest): Promise<BackupEntry> {
  const { subject, dump } = request;
  const previous = (await listBackups(context.repository, subject.instance)).find(
    ({ state, id }) => state === 'verified' && id !== subject.backupId,
  );
  const verdict = judge(dump.checks, dump.facts.keys, previous?.keys, context.policy.backup.flagBelow);
  const entry: BackupEntry = {
    id: subject.backupId,
    time: new Date(dump.save.startedAt * 1000).toISOString(),
    tier: subject.tier,
    sizeBytes: dump.facts.sizeBytes,
    keys: dump.facts.keys,
    ...verdict,
  };
  await publishManifest(context.repository, subject.instance, entry, request);
  return entry;
}
