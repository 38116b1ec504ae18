import { readFile, rename, stat, writeFile } from 'node:fs/promises';

/** After so long the bytes are read again: a disk may lose them without anybody writing, in milliseconds. */
const TRUSTED_MS = 24 * 3_600_000;

const markOf = (path: string): string => `${path}.proven`;

/**
 * Notes beside a file that its bytes were read and have this SHA-256. Steps of one restore follow each other within
 * minutes: each would read the whole dump again before it begins.
 */
export async function markProven(path: string, sha256: string): Promise<void> {
  const mark = JSON.stringify({ sha256, ...(await signsOf(path)), provenAt: Date.now() });
  await writeFile(`${markOf(path)}.part`, mark, { mode: 0o600 });
  await rename(`${markOf(path)}.part`, markOf(path));
}

/** True where the file is, by inode, size and times, the very one that had this SHA-256 when it was read. */
export async function isMarkedProven(path: string, sha256: string): Promise<boolean> {
  try {
    const { provenAt, ...marked } = JSON.parse(await readFile(markOf(path), 'utf8')) as { provenAt: number };
    const age = Date.now() - provenAt;
    const same = JSON.stringify(marked) === JSON.stringify({ sha256, ...(await signsOf(path)) });
    return same && age >= 0 && age < TRUSTED_MS;
  } catch {
    return false;
  }
}

async function signsOf(path: string) {
  const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path);
  return { dev, ino, size, mtimeMs, ctimeMs };
}
