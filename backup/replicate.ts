import type { StepIO } from '../process/step-io.ts';
import type { CheckedDump } from './check-dump.ts';
import type { InstanceContext } from './instance-context.ts';
import type { PreflightReport } from './preflight.ts';
import type { StoredBackupObject } from './store.ts';
import type { BackupSubject } from './subject.ts';

/** A dump that came over a replication link. */
export interface ReplicatedDump extends CheckedDump {
  readonly object: StoredBackupObject;
  readonly save: { readonly startedAt: number; readonly endedAt: number };
}

export async function replicateDump(
  _c: InstanceContext,
  _s: BackupSubject,
  _p: PreflightReport,
  _io: StepIO,
): Promise<ReplicatedDump> {
  throw new Error('not yet');
}
