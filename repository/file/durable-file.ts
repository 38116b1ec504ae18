import { randomBytes } from 'node:crypto';
import { type FileHandle, link, lstat, mkdir, open, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Hidden, so that it is never listed, and beside its target, because a link cannot leave its file system. */
const HALF_MADE = /^\.(.+)\.[0-9a-f]{16}\.part$/;

/** Dumps hold all of Redis' data: nobody but the user and its group, which the roles may share. */
const FILE_MODE = 0o640;
const FOLDER_MODE = 0o750;

/** The name that a half-made file was to get; undefined for what is none. */
export const targetOfHalfMade = (name: string): string | undefined => HALF_MADE.exec(name)?.[1];

/**
 * Makes a file that is there whole or not at all, also after a power failure: temporary name, fsync, link to its name,
 * fsync of the folder.
 *
 * @returns false when the name is taken; it is never overwritten
 */
export async function createDurably(path: string, write: (file: FileHandle) => Promise<void>): Promise<boolean> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(8).toString('hex')}.part`);
  const file = await openNew(temporary);
  try {
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    return await linkUnlessTaken(temporary, path);
  } finally {
    await unlink(temporary).catch(() => undefined);
    await syncFolder(folder);
  }
}

/** Gives a file another name, never one that is taken. Killed between, it has both names, and the same call ends it. */
export async function moveDurably(from: string, to: string): Promise<boolean> {
  await makeFolderDurably(dirname(to));
  const moved = (await linkUnlessTaken(from, to)) || (await sameFile(from, to));
  await syncFolder(dirname(to));
  if (!moved) return false;
  await unlink(from);
  await syncFolder(dirname(from));
  return true;
}

/** Removes folders that are empty now, from `folder` up to `root`, which stays. */
export async function removeEmptyFolders(folder: string, root: string): Promise<void> {
  for (let at = folder; at.length > root.length && at.startsWith(root); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch {
      return;
    }
  }
}

/** Somebody else's clean-up may take an empty folder away between its making and its first file. */
async function openNew(path: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt += 1) {
    await makeFolderDurably(dirname(path));
    try {
      return await open(path, 'wx', FILE_MODE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === 3) throw error;
    }
  }
}

async function linkUnlessTaken(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function sameFile(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([lstat(a, { bigint: true }), lstat(b, { bigint: true })]);
  return one.ino === other.ino && one.dev === other.dev;
}

async function makeFolderDurably(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  if (first === undefined) return;
  for (let at = folder; at.length >= first.length; at = dirname(at)) await syncFolder(dirname(at));
}

/** A name is safe only once its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
