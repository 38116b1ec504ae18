import type { InstanceContext } from '../backup/instance-context.ts';
import { provable, recordProof } from '../backup/prove-again.ts';
import { type PublishedBackup, type PublishRequest, publishBackup } from '../backup/publish.ts';
import type { BackupSubject } from '../backup/subject.ts';
import type { ProofReport, ProofRequest } from '../sandbox/prove.ts';
import { runStep } from './step.ts';

export type { PublishRequest };

export interface WantedBackup {
  readonly instance: string;
  readonly policyDigest: string;
  /** Its id. */
  readonly backup: string;
}

/** Steps on the catalogue, which is the repository itself: losing Temporal loses no backup. */
export function catalogueActivities(
  contextOf: (subject: Pick<BackupSubject, 'instance' | 'policyDigest'>) => Promise<InstanceContext>,
) {
  return {
    /** Judges the checks and writes the manifest, last of all: a directory without one is not a backup. */
    publish: (request: PublishRequest): Promise<PublishedBackup> =>
      runStep(async () => publishBackup(await contextOf(request.subject), request)),

    /** What a proof of a stored backup needs. */
    describeBackup: (wanted: WantedBackup): Promise<ProofRequest> =>
      runStep(async () => provable(await contextOf(wanted), wanted.backup)),

    /** Judges a backup anew and records the proof beside its manifest. */
    recordProof: (wanted: WantedBackup, proof: ProofReport): Promise<PublishedBackup> =>
      runStep(async () => recordProof(await contextOf(wanted), wanted.backup, proof)),
  };
}

export type CatalogueActivities = ReturnType<typeof catalogueActivities>;
