import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * What a step is about to change, written down before it does: whoever comes after a crash reads it and puts everything
 * back. A JSON document in a file for this user only (it may hold what a setting was), whole or not there at all.
 */
export async function writeJournal(path: string, document: unknown): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // One owner at a time changes what a journal speaks of; a killed one's half is written over.
  const temporary = partOf(path);
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(document, null, 2)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Undefined where there is none. */
export async function readJournal<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export async function removeJournal(path: string): Promise<void> {
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rm(partOf(path), { force: true });
  await syncFolder(dirname(path)).catch(() => undefined);
}

const partOf = (path: string): string => `${path}.part`;

/** A file's name for what an address or a path stands for: a digest, because these hold every character. */
export function journalName(kind: string, subject: string): string {
  return `${kind}-${createHash('sha256').update(subject).digest('hex').slice(0, 16)}.json`;
}

/** A name is safe only once its folder is. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
