import { relative } from 'node:path';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { readServerFile } from '../../redis/server-file.ts';
import type { RestorePoint } from '../restore-point.ts';
import { restoreFolder, stageDump } from '../staged-dump.ts';
import { type PlacedFiles, placeFiles } from './place-files.ts';

/**
 * Lays down a backup's files in a folder of this machine, ready for a plain redis-server: the dump, and what was known of
 * its users and settings as proposals.
 *
 * @throws RESTORE_DIR_UNUSABLE outside of the folder that the configuration allows; those of `placeFiles`, `stageDump`
 */
export async function placeInFolder(
  { policy, repository, home }: Pick<InstanceContext, 'policy' | 'repository' | 'home'>,
  restoreId: string,
  dir: string,
  point: RestorePoint,
  io: StepIO,
): Promise<PlacedFiles> {
  const { restoreDir } = policy.host;
  if (restoreDir !== undefined && relative(restoreDir, dir).startsWith('..')) {
    throw new RewindError('RESTORE_DIR_UNUSABLE', `${dir} is not under host.restoreDir, which is ${restoreDir}.`);
  }
  const folder = restoreFolder(home, restoreId);
  const dumpPath = await stageDump(repository, folder, point, io);
  const description =
    point.serverFileKey === undefined
      ? undefined
      : await readServerFile(repository, point.serverFileKey).catch((error) => {
          // Damaged, or gone: the keys are what is needed, and they come without it.
          if (!(error instanceof RewindError) || error.retryable) throw error;
          io.onProgress({ phase: 'place', note: `without proposals for users and settings: ${error.message}` });
          return undefined;
        });
  // From 7.0 on both forms fit into one folder: whichever way it is started, it does not start empty.
  const aof = point.server.name === 'valkey' || Number.parseInt(point.server.version, 10) >= 7;
  return placeFiles({ dumpPath, sha256: point.sha256, dir, aof, server: point.server, description }, io);
}
