import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO } from '../process/step-io.ts';
import { download } from '../repository/download.ts';
import type { Repository } from '../repository/repository.ts';
import type { RestorePoint } from './restore-point.ts';
import { isMarkedProven, markProven } from './staged-mark.ts';

/** What restores have on this machine's disk: a folder each. */
const restoresFolder = (home: string): string => join(home, 'restores');

/** What one restore has on this machine's disk while it works. */
export const restoreFolder = (home: string, restoreId: string): string => join(restoresFolder(home), restoreId);

/** A folder that nobody has touched for so long is of a restore that was terminated, in milliseconds. */
const FORGOTTEN_MS = 30 * 86_400_000;

/**
 * Brings a backup's dump onto this machine's disk and compares its SHA-256, so that the work itself reads from a disk and
 * not across a network that may break in the middle. What is there already is not fetched, and read once more unless it
 * just was: done twice it is the same, and an agent that moved to another machine fetches it there.
 *
 * @param folder of the restore
 * @throws DISK_FULL; STAGED_DUMP_DIFFERS when the store gives other bytes than were saved
 */
export async function stageDump(
  repository: Repository,
  folder: string,
  point: Pick<RestorePoint, 'id' | 'dumpKey' | 'sizeBytes' | 'sha256'>,
  io: StepIO,
): Promise<string> {
  const path = join(folder, 'dump.rdb');
  const there = await stat(path).catch(() => undefined);
  if (there?.size === point.sizeBytes) {
    if (await isMarkedProven(path, point.sha256)) return path;
    if ((await digestOf(createReadStream(path), io, point.sizeBytes)) === point.sha256) {
      await markProven(path, point.sha256);
      return path;
    }
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder)) {
    if (name.endsWith('.part')) await rm(join(folder, name), { force: true });
  }
  const disk = await statfs(folder);
  const free = disk.bavail * disk.bsize;
  if (free < point.sizeBytes) {
    throw new RewindError('DISK_FULL', `${free} bytes are free in ${folder}; the dump needs ${point.sizeBytes}.`);
  }
  const part = `${path}.${randomBytes(6).toString('hex')}.part`;
  try {
    const found = await download(repository, { key: point.dumpKey, sizeBytes: point.sizeBytes }, part, io);
    if (found !== point.sha256) {
      throw new RewindError(
        'STAGED_DUMP_DIFFERS',
        `The store gives other bytes for ${point.id} than were saved: SHA-256 ${found} instead of ${point.sha256}.`,
      );
    }
    await rename(part, path);
    await markProven(path, point.sha256);
    return path;
  } finally {
    await rm(part, { force: true });
  }
}

/** Removes what a restore had on this machine's disk, and what restores left that nobody went on with. */
export async function removeRestoreFolders(home: string, restoreId: string): Promise<void> {
  await rm(restoreFolder(home, restoreId), { recursive: true, force: true });
  for (const entry of await readdir(restoresFolder(home), { withFileTypes: true }).catch(() => [])) {
    const path = join(restoresFolder(home), entry.name);
    const touched = (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now();
    // Journals of what was changed in a server lie here, too: as files, and they are not to be forgotten.
    if (entry.isDirectory() && Date.now() - touched > FORGOTTEN_MS) await rm(path, { recursive: true, force: true });
  }
}

async function digestOf(stream: AsyncIterable<Uint8Array>, io: StepIO, total: number): Promise<string> {
  const hash = createHash('sha256');
  let done = 0;
  for await (const chunk of stream) {
    io.signal.throwIfAborted();
    hash.update(chunk);
    done += chunk.length;
    io.onProgress({ phase: 'compare', done, total, unit: 'bytes' });
  }
  return hash.digest('hex');
}
