import { constants, copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { followerOf } from '../archive/follow/follow-aof.ts';
import { shipTailBeforeStart } from '../archive/follow/ship-tail.ts';
import { asOwnChange } from '../archive/loss/own-change.ts';
import { saveMoment } from '../archive/read/save-moment.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import type { LoadedConfig } from '../config/load.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { type ArchivedState, archivedOrWhyNot } from '../incident/corruption/archived-state.ts';
import type { BuiltChoice } from '../incident/corruption/build-choice.ts';
import { buildProven, type ProvenChoice } from '../incident/corruption/build-proven.ts';
import { type CorruptionChoice, choicesOf } from '../incident/corruption/choices.ts';
import { copyAside } from '../incident/corruption/copy-aside.ts';
import { diagnoseFiles } from '../incident/corruption/diagnose.ts';
import type { Diagnosis } from '../incident/corruption/diagnosis.ts';
import type { PersistenceSettings } from '../incident/corruption/settings.ts';
import { isSwappedIn, type SwappedIn, swapIn } from '../incident/corruption/swap-in.ts';
import { serviceBeside, settingsBeside } from '../incident/crash/crash-site.ts';
import { type ServerVersion, versionBeside } from '../incident/crash/start-node.ts';
import { foundPart } from '../process/found-parts.ts';
import type { StepIO } from '../process/step-io.ts';
import { addressOf, withRedis } from '../redis/connection.ts';
import { keysOf, readInfo } from '../redis/info.ts';
import { listBackups } from '../repository/catalogue.ts';
import { findRestorePoint } from '../restore/restore-point.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { restoreFolder, stageDump } from '../restore/staged-dump.ts';
import { chooseServer, findServers } from '../sandbox/servers.ts';
import { runStep } from './step.ts';

export interface FoundDamage {
  readonly diagnosis: Diagnosis;
  /** Keys that the server holds, where it runs although its files are damaged. */
  readonly runningWith?: number;
  readonly server: ServerVersion;
  /** Where the instance has an archive: what it has of the data … */
  readonly archived?: ArchivedState;
  /** … or why that is no choice. */
  readonly archiveTold?: string;
}

export type { ArchivedState, ProvenChoice };

/** A follower has read within milliseconds what is there; a store that is down is not waited for, in milliseconds. */
const shipWithinMs = 20_000;

/** Steps on the damaged files; they run where the files are. */
export function corruptionActivities(
  contextOf: (subject: RestoreSubject) => Promise<InstanceContext>,
  config: LoadedConfig,
) {
  return {
    /** Copies everything aside, and says which file is damaged where; the originals are only read. */
    diagnoseFiles: (subject: RestoreSubject): Promise<FoundDamage> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        const { dir, settings, server } = await filesBeside(context);
        await shipWhatIsLeft(context, io);
        const aside = join(restoreFolder(context.home, subject.restoreId), 'aside');
        await mkdir(aside, { recursive: true, mode: 0o700 });
        await copyAside(dir, aside, settings, io);
        const [checker] = await findServers(serversOf(config));
        const diagnosis = await diagnoseFiles(aside, settings, io, { server: checker });
        const runningWith = await keysLive(context);
        const { archived, told } = await archivedBeside(context, aside, settings, io);
        return { diagnosis, runningWith, server, archived, archiveTold: told };
      }),

    /** Builds what was chosen on the copies, and has a real server of our own load it. */
    buildChoice: (subject: RestoreSubject, choice: string, archived?: ArchivedState): Promise<ProvenChoice> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        const { home, repository } = context;
        const place = { repository, instance: subject.instance };
        const { settings, server } = await filesBeside(context);
        const folder = restoreFolder(home, subject.restoreId);
        const prover = chooseServer(await findServers(serversOf(config)), {
          serverName: server.name,
          serverVersion: server.version,
        });
        if (!prover) {
          throw new RewindError('SANDBOX_NO_SERVER', `Nothing here loads files of ${server.name} ${server.version}.`);
        }
        const limits = { workRoot: join(home, 'proofs'), maxMemoryBytes: config.sandbox.maxMemoryBytes };
        const request = {
          choice,
          asideDir: join(folder, 'aside'),
          workDir: join(folder, 'built'),
          settings,
          fetchBackup: async (id: string, path: string) => {
            const point = await findRestorePoint(repository, subject.instance, id);
            await copyFile(await stageDump(repository, folder, point, io), path, constants.COPYFILE_FICLONE);
          },
          archived: archived && {
            place,
            state: archived,
            saveAsDump: (path: string) => {
              const sandbox = { home, servers: [prover], maxMemoryBytes: config.sandbox.maxMemoryBytes };
              return saveMoment(place, archived.moment, sandbox, path, io);
            },
          },
        };
        return buildProven(prover, request, limits, io);
      }),

    /**
     * Stops the server and gives it what was built; what it had is moved aside, never deleted.
     *
     * @param wasRunning as it was shown to who chose; absent in runs that an older version began
     */
    swapIn: (subject: RestoreSubject, built: BuiltChoice, wasRunning?: boolean): Promise<SwappedIn> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        const { dir, settings } = await filesBeside(context);
        const service = serviceBeside(context);
        if (!(await isSwappedIn(dir, subject.restoreId))) {
          if (wasRunning === false) await refuseRisen(context);
          // A last save would write the damaged memory, or none, over what is about to be placed.
          await service?.stop(io, { lastSave: 'never' });
        }
        const answers = () => withRedis(context.target, async () => true).catch(() => false);
        const isRunning = service ? async () => (await service.state()) === 'running' : answers;
        return asOwnChange(context, 'restore', () => swapIn(dir, built, settings, subject.restoreId, isRunning, io));
      }),
  };
}

/** The choices side by side, with the catalogue as it is now. */
export function corruptionChoicesActivity(
  contextOf: (subject: Pick<RestoreSubject, 'instance' | 'policyDigest'>) => Promise<InstanceContext>,
) {
  return {
    corruptionChoices: (
      subject: Pick<RestoreSubject, 'instance' | 'policyDigest'>,
      diagnosis: Diagnosis,
      archived?: ArchivedState,
    ): Promise<CorruptionChoice[]> =>
      runStep(async () => {
        const { repository } = await contextOf(subject);
        const backups = await listBackups(repository, subject.instance, { all: true });
        return choicesOf(diagnosis, backups, new Date(), archived);
      }),
  };
}

const keysLive = ({ target }: InstanceContext): Promise<number | undefined> =>
  withRedis(target, async (redis) => keysOf(await readInfo(redis, 'keyspace'))).catch(() => undefined);

/**
 * Somebody has brought the server back while the gate waited, and who chose did not know: what was written to it since is
 * in its memory only, and ends with it.
 *
 * @throws RESTORE_SERVER_RUNNING
 */
async function refuseRisen(context: InstanceContext): Promise<void> {
  const keys = await keysLive(context);
  if (keys === undefined) return;
  throw new RewindError(
    'RESTORE_SERVER_RUNNING',
    `Redis at ${addressOf(context.target)} answers again, with ${keys} keys; it did not when the choice was made.`,
    { next: 'Abort where it is well. Where what was chosen is better: save what it holds, stop it, then try again.' },
  );
}

/** Whole commands that the archive does not have yet are in no danger once they are there. */
async function shipWhatIsLeft(context: InstanceContext, io: StepIO): Promise<void> {
  // One that cannot read on never has all.
  if (followerOf(context.policy.instance)?.figures.state === 'damaged') return;
  const enough = AbortSignal.timeout(shipWithinMs);
  const shipped = shipTailBeforeStart(context, { ...io, signal: AbortSignal.any([io.signal, enough]) });
  await shipped.catch((error: unknown) => {
    // What is not shipped is read from the disk.
    if (!enough.aborted) throw error;
  });
}

async function archivedBeside(
  { policy, repository }: InstanceContext,
  aside: string,
  settings: PersistenceSettings,
  io: StepIO,
): Promise<{ archived?: ArchivedState; told?: string }> {
  if (!policy.archive) return {};
  return archivedOrWhyNot({ repository, instance: policy.instance }, aside, settings, io);
}

async function filesBeside(
  context: InstanceContext,
): Promise<{ dir: string; settings: PersistenceSettings; server: ServerVersion }> {
  const local = await settingsBeside(context);
  if (!local) {
    const message = `It is not known where ${context.policy.instance} keeps its files.`;
    throw new RewindError('CRASH_FILES_UNKNOWN', message);
  }
  const server = await versionBeside(context);
  const { dir, dbfilename, appendonly, appendfilename, appenddirname } = local;
  const settings = { dbfilename, appendonly, appendfilename, appenddirname };
  return { dir, server, settings: { ...settings, serverName: server.name, serverVersion: server.version } };
}

const serversOf = (config: LoadedConfig): readonly string[] => config.sandbox.servers ?? [foundPart('redis').path];

export type CorruptionActivities = ReturnType<typeof corruptionActivities>;
export type CorruptionChoicesActivity = ReturnType<typeof corruptionChoicesActivity>;
