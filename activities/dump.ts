import { type CheckedDump, checkDump } from '../backup/check-dump.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import { type Pin, pinDump, pinnedBytes } from '../backup/pin.ts';
import type { PreflightReport } from '../backup/preflight.ts';
import { type BackupOutcome, pruneAfterBackup } from '../backup/prune.ts';
import { type ReplicatedDump, replicateDump } from '../backup/replicate.ts';
import { confirmStored, type StoredBackupObject, storeDump } from '../backup/store.ts';
import type { BackupSubject } from '../backup/subject.ts';
import { givingWay } from '../process/give-way.ts';
import type { SaveStart } from '../redis/save.ts';
import type { UploadCursor } from '../repository/repository.ts';
import type { Check } from '../sandbox/check.ts';
import { runStep } from './step.ts';

/** Steps on the dump's bytes: held, walked, stored. They run where the bytes are. */
export function dumpActivities(contextOf: (subject: BackupSubject) => Promise<InstanceContext>) {
  return {
    /** Holds the bytes that the save wrote, whatever Redis does next. */
    pin: (subject: BackupSubject, dump: { dir: string; dbfilename: string; startedAt: number }): Promise<Pin> =>
      runStep(async () => {
        await contextOf(subject);
        return pinDump(subject.backupId, dump);
      }),

    /** Walks the pinned dump: counts, CRC-64, SHA-256. */
    checkRdb: (subject: BackupSubject, pin: Pin, start: SaveStart): Promise<CheckedDump> =>
      runStep(async (io) => {
        await contextOf(subject);
        const bytes = await pinnedBytes(subject.backupId, pin);
        return givingWay(() => checkDump(subject.backupId, bytes, start.startedAt, io));
      }),

    /** Stores the pinned dump, going on where an earlier attempt was cut off, or where the wait for the save got to. */
    upload: (subject: BackupSubject, pin: Pin, ahead?: UploadCursor): Promise<StoredBackupObject> =>
      runStep<StoredBackupObject, UploadCursor>(async (io) => {
        const context = await contextOf(subject);
        const bytes = await pinnedBytes(subject.backupId, pin);
        const resumeFrom = io.resumeFrom ?? ahead;
        return givingWay(() => storeDump(context, subject, bytes, pin.sizeBytes, { ...io, resumeFrom }));
      }),

    /** Takes the dump over a replication link and stores it as it comes. */
    replicate: (subject: BackupSubject, preflight: PreflightReport): Promise<ReplicatedDump> =>
      runStep(async (io) => replicateDump(await contextOf(subject), subject, preflight, io)),

    /** Asks the store anew: size, encryption, key, checksum. */
    verifyUpload: (subject: BackupSubject, object: StoredBackupObject): Promise<Check> =>
      runStep(async () => confirmStored(await contextOf(subject), object)),

    /** Removes the pin, and what crashed runs left on this host and in the store. */
    prune: (subject: BackupSubject, outcome: BackupOutcome): Promise<{ removed: number }> =>
      runStep(async () => pruneAfterBackup(await contextOf(subject), subject, outcome)),
  };
}

export type DumpActivities = ReturnType<typeof dumpActivities>;
