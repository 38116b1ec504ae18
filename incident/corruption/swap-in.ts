import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { copyDurably, exists, giveTo, syncFolder, writeTextDurably } from '../../restore/files/durable-files.ts';
import type { BuiltChoice } from './build-choice.ts';
import type { PersistenceSettings } from './settings.ts';

export interface SwappedIn {
  /** Folder in the server's own folder with what was there. */
  readonly aside: string;
  readonly placed: readonly string[];
}

const asideOf = (dir: string, id: string): string => join(dir, `rewind-aside-${id}`);
const doneIn = (aside: string): string => join(aside, '.rewind-done');

/** Whether the swap of this incident was ended by an earlier call. */
export const isSwappedIn = (dir: string, id: string): Promise<boolean> => exists(doneIn(asideOf(dir, id)));

/**
 * Gives a stopped server the files that were built and proven. What it has is moved into a folder beside, never deleted.
 * The new files are whole and on disk before the first of the old ones moves; killed anywhere, the same call ends it.
 *
 * @param id of the incident: the same one goes on with the same swap
 * @throws RESTORE_SERVER_RUNNING, CORRUPTION_ASIDE_CHANGED where what was built is not as it was proven
 */
export async function swapIn(
  dir: string,
  built: BuiltChoice,
  settings: PersistenceSettings,
  id: string,
  isRunning: () => Promise<boolean>,
  io: StepIO,
): Promise<SwappedIn> {
  const incoming = join(dir, `.rewind-incoming-${id}`);
  const aside = asideOf(dir, id);
  const done = doneIn(aside);
  const placed = [...new Set(built.files.map(({ path }) => path.split('/')[0] as string))];
  if (await exists(done)) {
    await rm(incoming, { recursive: true, force: true });
    return { aside, placed };
  }
  const refuseRunning = async () => {
    if (!(await isRunning())) return;
    throw new RewindError('RESTORE_SERVER_RUNNING', `The server whose files are in ${dir} is running.`);
  };
  await refuseRunning();
  const ready = join(incoming, '.rewind-whole');
  if (!(await exists(ready)) && !(await exists(aside))) {
    await rm(incoming, { recursive: true, force: true });
    try {
      for (const { path, sha256 } of built.files) {
        const folder = dirname(join(incoming, path));
        await mkdir(folder, { recursive: true, mode: 0o750 });
        await giveTo(folder, dir);
        await copyDurably(join(built.dir, path), join(incoming, path), { sha256, owner: dir }, io);
      }
      // Copying takes its time, and whoever keeps servers up may have started it meanwhile.
      await refuseRunning();
    } catch (error) {
      await rm(incoming, { recursive: true, force: true });
      throw error;
    }
    await writeTextDurably(ready, '');
    await syncFolder(incoming);
  }
  await mkdir(aside, { recursive: true, mode: 0o750 });
  const names = [settings.dbfilename, settings.appenddirname, settings.appendfilename];
  for (const name of new Set([...names, ...placed])) {
    // One that is placed already is ours; one that is aside already was moved by an earlier call.
    const isOld = (await exists(join(dir, name))) && !(await exists(join(aside, name)));
    const isPlaced = placed.includes(name) && !(await exists(join(incoming, name)));
    if (isOld && !isPlaced) await rename(join(dir, name), join(aside, name));
  }
  await syncFolder(aside);
  for (const name of placed) {
    if (await exists(join(incoming, name))) await rename(join(incoming, name), join(dir, name));
  }
  await syncFolder(dir);
  await writeTextDurably(done, '');
  await rm(incoming, { recursive: true, force: true });
  return { aside, placed };
}
