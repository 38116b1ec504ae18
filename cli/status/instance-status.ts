import { type ArchiveFacts, archiveLagMs } from '../../check/archive.ts';
import type { InstancePolicy } from '../../policy/instance-policy.ts';
import type { BackupEntry, CataloguedBackup } from '../../repository/catalogue.ts';
import type { LossStatus } from './noticed-losses.ts';
import type { OpenFenceStatus } from './open-fences.ts';
import type { RunningWorkflow } from './running-workflows.ts';
import type { WaitingWorkflow } from './waiting-workflows.ts';

/** A figure against its objective. Without `seconds` there is nothing to measure; without an objective any will do. */
export interface Measured {
  readonly seconds?: number;
  readonly objectiveSeconds?: number;
  readonly met: boolean;
}

/** One instance as `status --json` prints it. */
export interface InstanceStatus {
  /** Age of the last verified backup, from the start of its save: what a crash now would lose. */
  readonly rpo: Measured;
  /** Present where the archive is on: then its lag is the RPO as long as it runs. */
  readonly archive?: ArchiveStatus;
  /** What the last proof took to download and load the dump. Absent: never measured. */
  readonly rto?: Measured;
  /** The newest one, whatever its state. */
  readonly lastBackup?: BackupEntry;
  /** When the last verified backup was begun: an older one than `lastBackup` where that is not verified. */
  readonly lastVerified?: string;
  readonly running: readonly RunningWorkflow[];
  /** What waits for a person. */
  readonly waiting: readonly WaitingWorkflow[];
  /** Fences that were not undone: nobody but the product writes. */
  readonly fences: readonly OpenFenceStatus[];
  /** Losses that nobody has closed; absent where there is no archive to notice them, or none. */
  readonly losses?: readonly LossStatus[];
}

/** How far the archive of the append-only file is. */
export interface ArchiveStatus {
  /** `not-running`, `stuck` (its run was refused, and tries again), `silent`, or as the follower says. */
  readonly state: string;
  readonly lagSeconds?: number;
  readonly unshippedBytes?: number;
  readonly timeline?: number;
  readonly position?: number;
  readonly note?: string;
}

function archiveStatus(
  { running, figures }: ArchiveFacts,
  lagSeconds: number | undefined,
  runs: readonly RunningWorkflow[],
): ArchiveStatus {
  if (runs.some(({ type, phase }) => type === 'shipAof' && phase === 'stuck')) return { state: 'stuck' };
  if (!running || !figures) return { state: running ? 'silent' : 'not-running' };
  const { state, unshippedBytes, timeline, position, note } = figures;
  return {
    ...{ state, unshippedBytes, timeline, position },
    ...(lagSeconds === undefined ? {} : { lagSeconds }),
    ...(note === undefined ? {} : { note }),
  };
}

/** @param backups of the instance, newest first, those that failed a check too */
export function statusOf(
  policy: Pick<InstancePolicy, 'objectives'>,
  backups: readonly CataloguedBackup[],
  running: readonly RunningWorkflow[],
  now: Date,
  waiting: readonly WaitingWorkflow[] = [],
  fences: readonly OpenFenceStatus[] = [],
  archive?: ArchiveFacts,
  losses: readonly LossStatus[] = [],
): InstanceStatus {
  const { rpoSeconds, rtoSeconds } = policy.objectives;
  // A moment of the archive was made for a restore: it says nothing of how backups go.
  const last = backups.find(({ manifest }) => manifest?.moment === undefined);
  const verified = backups.find(({ state }) => state === 'verified');
  const proof = backups.find(({ state, manifest }) => state === 'verified' && manifest?.proof)?.manifest?.proof;
  const age = verified && Math.max(0, Math.round((now.getTime() - Date.parse(verified.time)) / 1000));
  const rto = proof && Math.max(1, Math.ceil((proof.downloadMs + proof.loadMs) / 1000));
  const lagMs = archive && archiveLagMs(archive);
  const lag = lagMs === undefined ? undefined : Math.ceil(lagMs / 1_000);
  // What is in the archive is not lost, however old the last backup is.
  const lost = lag === undefined ? age : Math.min(lag, age ?? lag);
  return {
    rpo: measured(lost, rpoSeconds),
    ...(archive ? { archive: archiveStatus(archive, lag, running) } : {}),
    ...(rto === undefined ? {} : { rto: measured(rto, rtoSeconds) }),
    ...(last ? { lastBackup: entryOnly(last) } : {}),
    ...(verified ? { lastVerified: verified.time } : {}),
    running,
    waiting,
    fences,
    ...(losses.length > 0 ? { losses } : {}),
  };
}

/**
 * True where an objective is missed, the newest backup is not what it should be, the archive is stuck, a run waits for a
 * person, writes are fenced or a loss was noticed: exit code 3.
 */
export function wantsAttention({ rpo, rto, archive, lastBackup, ...open }: InstanceStatus): boolean {
  const { waiting, fences, losses = [] } = open;
  const doubtful = lastBackup !== undefined && (lastBackup.state !== 'verified' || lastBackup.flagged !== undefined);
  const missed = !rpo.met || rto?.met === false || archive?.state === 'stuck';
  return missed || doubtful || [waiting, fences, losses].some(({ length }) => length > 0);
}

function measured(seconds: number | undefined, objectiveSeconds: number | undefined): Measured {
  return {
    ...(seconds === undefined ? {} : { seconds }),
    ...(objectiveSeconds === undefined ? {} : { objectiveSeconds }),
    met: objectiveSeconds === undefined || (seconds !== undefined && seconds <= objectiveSeconds),
  };
}

function entryOnly({
  name: _name,
  directory: _directory,
  manifest: _manifest,
  ...entry
}: CataloguedBackup): BackupEntry {
  return entry;
}
