import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import type { RestorePoint } from '../restore-point.ts';
import { restoreFolder, stageDump } from '../staged-dump.ts';
import { type PlacedFiles, placeFiles } from './place-files.ts';

/** server.json is settings and users; no server has more of them than this, in bytes. */
export const SERVER_FILE_BYTES = 4 * 1024 * 1024;

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
  const beside = await mkdtemp(join(folder, 'server-'));
  try {
    let serverFile: string | undefined;
    if (point.serverFileKey) {
      serverFile = join(beside, 'server.json');
      await writeFile(serverFile, await repository.readSmall(point.serverFileKey, SERVER_FILE_BYTES), { mode: 0o600 });
    }
    // From 7.0 on both forms fit into one folder: whichever way it is started, it does not start empty.
    const aof = point.server.name === 'valkey' || Number.parseInt(point.server.version, 10) >= 7;
    return await placeFiles({ dumpPath, sha256: point.sha256, dir, aof, server: point.server, serverFile }, io);
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}
