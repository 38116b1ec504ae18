import { constants, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StepIO } from '../../process/step-io.ts';
import { loadMoment, type MomentSandbox } from './load-moment.ts';
import type { Moment } from './moment.ts';
import type { ArchivePlace } from './records.ts';

/** A moment as a dump, for a server that has no append-only file: a server of our own loads it, and saves. */
export async function saveMoment(
  place: ArchivePlace,
  moment: Moment,
  sandbox: MomentSandbox,
  path: string,
  io: StepIO,
): Promise<void> {
  await loadMoment(place, moment, sandbox, io, async (redis, _, dir) => {
    io.onProgress({ phase: 'save' });
    await redis.call('SAVE');
    await copyFile(join(dir, 'dump.rdb'), path, constants.COPYFILE_FICLONE);
  });
}
