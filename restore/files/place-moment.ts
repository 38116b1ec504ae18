import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { isLaidDown, type LaidDown, layDown, momentNames } from '../../archive/read/lay-down.ts';
import type { Moment } from '../../archive/read/moment.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { giveTo } from './durable-files.ts';

/**
 * Lays a moment of the archive down in a folder of this machine, ready for a plain redis-server. The folder is empty, not
 * there yet, or holds what an earlier call for the same moment has put there and no server has touched.
 *
 * @throws RESTORE_DIR_UNUSABLE, RESTORE_DIR_NOT_EMPTY and those of `layDown`
 */
export async function placeMoment(
  { policy, repository }: Pick<InstanceContext, 'policy' | 'repository'>,
  moment: Moment,
  dir: string,
  io: StepIO,
): Promise<LaidDown> {
  const { restoreDir } = policy.host;
  if (restoreDir !== undefined && relative(restoreDir, dir).startsWith('..')) {
    throw new RewindError('RESTORE_DIR_UNUSABLE', `${dir} is not under host.restoreDir, which is ${restoreDir}.`);
  }
  const there = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new RewindError('RESTORE_DIR_UNUSABLE', `${dir} cannot be restored into: ${error.message}.`, {
      cause: error,
    });
  });
  const foreign = there.filter((name) => !momentNames.includes(name));
  if (foreign.length > 0 && !(await isLaidDown(moment, dir))) {
    const names = `${foreign.slice(0, 3).join(', ')}${foreign.length > 3 ? ', …' : ''}`;
    throw new RewindError('RESTORE_DIR_NOT_EMPTY', `${dir} is not empty: it holds ${names}.`);
  }
  const laid = await layDown({ repository, instance: moment.instance }, moment, dir, io).catch((error) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'ENOTDIR') throw error;
    const why = (error as Error).message;
    throw new RewindError('RESTORE_DIR_UNUSABLE', `${dir} cannot be restored into: ${why}.`, { cause: error });
  });
  for (const name of await readdir(dir, { recursive: true })) await giveTo(join(dir, name), dir);
  return laid;
}
