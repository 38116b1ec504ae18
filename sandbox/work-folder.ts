import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import { processIdentity } from '../process/process-identity.ts';

/** The pid and a digest of what tells its process from a later one with the same pid, as in a restarted container. */
const ours = /^proof-(\d+)-([0-9a-f]{8})-/;

const markOf = (pid: number): string =>
  createHash('sha256')
    .update(processIdentity(pid) ?? '')
    .digest('hex')
    .slice(0, 8);

/**
 * A folder for one proof, named after this process so that the next one can tell what a killed one left.
 *
 * @throws DISK_FULL when the dump cannot fit
 */
export async function makeWorkFolder(root: string, id: string, dumpBytes: number): Promise<string> {
  await sweepWorkFolders(root);
  const disk = await statfs(root);
  const free = disk.bavail * disk.bsize;
  if (free < dumpBytes) {
    throw new RewindError('DISK_FULL', `The sandbox has ${free} bytes free in ${root}; the dump needs ${dumpBytes}.`);
  }
  const folder = join(root, `proof-${process.pid}-${markOf(process.pid)}-${id}`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** True only of folders that `makeWorkFolder` makes: no other may be removed as one. */
export const isWorkFolder = (path: string): boolean => ours.test(basename(path));

/** Removes what ended processes left behind. */
export async function sweepWorkFolders(root: string): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o700 });
  for (const name of await readdir(root)) {
    const [, pid, mark] = ours.exec(name) ?? [];
    if (pid && mark !== markOf(Number(pid))) await rm(join(root, name), { recursive: true, force: true });
  }
}
