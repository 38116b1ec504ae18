import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { InstanceContext } from '../backup/instance-context.ts';
import type { Repository } from '../repository/repository.ts';
import { placeInFolder } from '../restore/files/place-in-folder.ts';
import { startSandbox } from '../restore/files/started-sandbox.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { restoreFolder, stageDump } from '../restore/staged-dump.ts';
import type { ProofSettings } from '../sandbox/prove.ts';
import { serverFor } from '../sandbox/servers.ts';
import { runStep } from './step.ts';

export interface PlacedFiles {
  /** `host:path`: whoever reads it may sit elsewhere. */
  readonly path: string;
  readonly files: readonly string[];
  /** Arguments with which redis-server starts from them. */
  readonly startWith: readonly string[];
}

export interface StartedSandboxFacts {
  readonly url: string;
  readonly passwordFile: string;
  /** ISO 8601. */
  readonly until: string;
  readonly keys: number;
}

/** Restores into a folder, on the machine of the instance's agent. */
export function placeFilesActivities(contextOf: (subject: RestoreSubject) => Promise<InstanceContext>) {
  return {
    placeFiles: (subject: RestoreSubject, dir: string, point: RestorePoint): Promise<PlacedFiles> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        const { files, startWith } = await placeInFolder(context, subject.restoreId, dir, point, io);
        return { path: `${hostname()}:${dir}`, files, startWith };
      }),
  };
}

/** Restores into a server of our own that stays up for a while. */
export function startSandboxActivities(repository: Repository, home: string, settings: ProofSettings) {
  return {
    startSandbox: ({ restoreId, point }: { restoreId: string; point: RestorePoint }): Promise<StartedSandboxFacts> =>
      runStep(async (io) => {
        const folder = restoreFolder(home, restoreId);
        try {
          const dumpPath = await stageDump(repository, folder, point, io);
          const { url, passwordFile, endsAt, keys } = await startSandbox(
            {
              id: restoreId,
              dumpPath,
              server: serverFor(settings.servers, point),
              home,
              databases: Math.max(16, ...Object.keys(point.keysByDatabase).map((db) => Number(db) + 1)),
              maxMemoryBytes: settings.maxMemoryBytes,
            },
            io,
          );
          return { url, passwordFile: `${hostname()}:${passwordFile}`, until: endsAt, keys };
        } finally {
          await rm(folder, { recursive: true, force: true });
        }
      }),
  };
}

export type RestoredFilesActivities = ReturnType<typeof placeFilesActivities> &
  ReturnType<typeof startSandboxActivities>;
