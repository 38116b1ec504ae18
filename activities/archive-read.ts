import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { layDown } from '../archive/read/lay-down.ts';
import { type LoadedMoment, loadMoment } from '../archive/read/load-moment.ts';
import type { Moment } from '../archive/read/moment.ts';
import { materializeMoment } from '../archive/read/moment-backup.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import type { BackupEntry } from '../repository/catalogue.ts';
import type { Repository } from '../repository/repository.ts';
import { placeMoment } from '../restore/files/place-moment.ts';
import { startSandbox } from '../restore/files/started-sandbox.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import type { ProofSettings } from '../sandbox/prove.ts';
import { serverFor } from '../sandbox/servers.ts';
import type { PlacedFiles, StartedSandboxFacts } from './restored-files.ts';
import { runStep } from './step.ts';

/** Databases that a sandbox has for a moment: nobody has counted those in the commands. */
const databases = 16_384;

/** Steps that load a moment of the archive: they know the store and servers of their own, never production. */
export function archiveSandboxActivities(repository: Repository, home: string, settings: ProofSettings) {
  const place = (moment: Moment) => ({ repository, instance: moment.instance });
  return {
    /** Makes a moment a backup that every way of restoring one can take. @param at ISO 8601, from the workflow */
    materializeMoment: (moment: Moment, at: string): Promise<BackupEntry> =>
      runStep((io) => materializeMoment(place(moment), moment, new Date(at), { ...settings, home }, io)),

    /** Has a server start from it, and ends that server again. */
    proveMoment: (moment: Moment): Promise<LoadedMoment> =>
      runStep((io) => loadMoment(place(moment), moment, { ...settings, home }, io, async (_, loaded) => loaded)),

    /** A server that started from it natively and stays up for a while. */
    startMoment: ({ restoreId, moment }: { restoreId: string; moment: Moment }): Promise<StartedSandboxFacts> =>
      runStep(async (io) => {
        const started = await startFromMoment(repository, home, settings, restoreId, moment, io);
        return { ...started, passwordFile: `${hostname()}:${started.passwordFile}` };
      }),
  };
}

/** Lays a moment down in a folder on the machine of the instance's agent. */
export function placeMomentActivities(contextOf: (subject: RestoreSubject) => Promise<InstanceContext>) {
  return {
    placeMoment: (subject: RestoreSubject, dir: string, moment: Moment): Promise<PlacedFiles> =>
      runStep(async (io) => {
        const { startWith } = await placeMoment(await contextOf(subject), moment, dir, io);
        return { path: `${hostname()}:${dir}`, files: ['appendonlydir'], startWith };
      }),
  };
}

/** The same for who stands beside the sandbox: the password's file is on this machine. */
export async function startFromMoment(
  repository: Repository,
  home: string,
  settings: ProofSettings,
  restoreId: string,
  moment: Moment,
  io: Parameters<typeof layDown>[3],
): Promise<StartedSandboxFacts> {
  const dir = join(home, 'moments', `started-${restoreId}`);
  const server = serverFor(settings.servers, moment);
  await layDown({ repository, instance: moment.instance }, moment, dir, io);
  const { maxMemoryBytes } = settings;
  // A sandbox that runs already took another call's files; whatever is left of them is of no use then.
  const { url, passwordFile, endsAt, keys } = await startSandbox(
    { id: restoreId, dumpPath: dir, fromAof: true, server, home, databases, maxMemoryBytes },
    io,
  );
  await rm(dir, { recursive: true, force: true });
  return { url, passwordFile, until: endsAt, keys };
}

export type ArchiveReadActivities = ReturnType<typeof archiveSandboxActivities> &
  ReturnType<typeof placeMomentActivities>;
