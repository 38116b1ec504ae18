import type { InstanceContext } from '../backup/instance-context.ts';
import { withRedis } from '../redis/connection.ts';
import type { PutKeysCursor } from '../restore/keys/cursor.ts';
import { type MigratedKeys, type Migration, migrateKeys, replaceWholly } from '../restore/migrate-keys.ts';
import { type OfferedServer, offerServer } from '../restore/offer-server.ts';
import { planRestore, type RestorePlan } from '../restore/plan-restore.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import { parseRestoreInput, type RestoreInput, type RestoreRequest } from '../restore/restore-request.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { stageForRestore } from '../restore/stage-for-restore.ts';
import { removeRestoreFolders } from '../restore/staged-dump.ts';
import type { StagedFacts } from '../restore/staged-facts.ts';
import { readTargetFacts, type TargetFacts } from '../restore/target-facts.ts';
import { runStep } from './step.ts';

/** The steps of a restore beside the server that is restored into. */
export function restoreActivities(contextOf: (subject: RestoreSubject) => Promise<InstanceContext>) {
  return {
    /** Understands what was asked for; no default of it lives anywhere else. */
    readRequest: (input: RestoreInput): Promise<RestoreRequest> => runStep(async () => parseRestoreInput(input)),

    /** Who is restored into, and how it is there; nothing is changed. */
    surveyTarget: (subject: RestoreSubject): Promise<TargetFacts> =>
      runStep(async () => {
        const context = await contextOf(subject);
        return withRedis(context.target, (redis) => readTargetFacts(redis, context));
      }),

    /** Brings the dump to this machine's disk, compares its SHA-256 and looks through it. */
    stageDump: (
      subject: RestoreSubject,
      request: RestoreRequest,
      point: RestorePoint,
      target: TargetFacts | undefined,
    ): Promise<StagedFacts> =>
      runStep(async (io) => stageForRestore(await contextOf(subject), subject, request, point, target, io)),

    /** Decides how it is done, or why not. Nothing is changed. */
    planRestore: (
      request: RestoreRequest,
      point: RestorePoint,
      staged: StagedFacts | undefined,
      target: TargetFacts | undefined,
    ): Promise<RestorePlan> => runStep(async () => planRestore({ request, point, staged, target })),

    /** Puts the keys of the dump into the live server, going on where an earlier attempt was cut off. */
    migrateKeys: (subject: RestoreSubject, migration: Migration): Promise<MigratedKeys> =>
      runStep<MigratedKeys, PutKeysCursor>(async (io) => migrateKeys(await contextOf(subject), subject, migration, io)),

    /** Replaces the whole dataset by the dump, as a primary would send it to a replica. */
    streamAsPrimary: (subject: RestoreSubject, point: RestorePoint, staged: StagedFacts): Promise<MigratedKeys> =>
      runStep(async (io) => replaceWholly(await contextOf(subject), subject, point, staged, io)),

    /** Users and settings of the server, held against those of the backup's: what differs is offered as a diff. */
    offerServer: (subject: RestoreSubject, point: RestorePoint): Promise<OfferedServer | undefined> =>
      runStep(async () => offerServer(await contextOf(subject), subject, point)),

    /** Removes what the restore had on this machine; what it found is in the repository. */
    cleanUpRestore: (subject: RestoreSubject): Promise<void> =>
      runStep(async () => {
        const { home } = await contextOf(subject);
        await removeRestoreFolders(home, subject.restoreId);
      }),
  };
}

export type RestoreActivities = ReturnType<typeof restoreActivities>;
