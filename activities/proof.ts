import type { StoredBackupObject } from '../backup/store.ts';
import type { BackupSubject } from '../backup/subject.ts';
import type { Repository } from '../repository/repository.ts';
import type { DumpFacts } from '../sandbox/dump-facts.ts';
import { type ProofReport, type ProofSettings, proveStored } from '../sandbox/prove.ts';
import { runStep } from './step.ts';

export interface ProofInput {
  readonly subject: BackupSubject;
  readonly facts: DumpFacts;
  readonly object: StoredBackupObject;
}

/** The step that loads a dump. It knows the store and a server of its own, never production. */
export function proofActivities(repository: Repository, settings: ProofSettings) {
  return {
    loadAndVerify: ({ subject, facts, object }: ProofInput): Promise<ProofReport> =>
      runStep((io) =>
        proveStored(
          repository,
          { id: subject.backupId, key: object.dump.key, sizeBytes: object.dump.sizeBytes, facts },
          settings,
          io,
        ),
      ),
  };
}

export type ProofActivities = ReturnType<typeof proofActivities>;
