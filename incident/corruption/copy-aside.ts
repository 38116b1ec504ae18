import { createHash } from 'node:crypto';
import { constants, copyFile, mkdir, open, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { findAllFiles } from './found-files.ts';
import { syncFolder } from './salvage-rdb.ts';
import type { PersistenceSettings } from './settings.ts';

/** One file as it was when it was copied. */
export interface AsideFile {
  /** Below the server's folder, and below the folder of the copies. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;
  /** Of the copy, read back from it. */
  readonly sha256: string;
}

export interface Aside {
  /** The folder of the copies. */
  readonly dir: string;
  readonly files: readonly AsideFile[];
  readonly sizeBytes: number;
}

/** Beside the copies, not among them. */
const journalName = 'aside.json';
/** What a disk wants to have left over. */
const marginBytes = 16 * 1024 * 1024;
const blockBytes = 1024 * 1024;

/**
 * Copies everything that the server may load, or that may help, into a folder of its own: never by a hard link, since a
 * start changes files in place. Each copy is on the disk and read back before it is noted in `aside.json`; called again
 * it goes on where it was, and ends where a file has changed since it was copied.
 *
 * @param dir the server's folder, only read
 * @param asideDir on whatever disk; made where it is not there
 * @throws DISK_FULL, CORRUPTION_ASIDE_CHANGED, AOF_READ_FAILED
 */
export async function copyAside(
  dir: string,
  asideDir: string,
  settings: PersistenceSettings,
  io: StepIO,
): Promise<Aside> {
  await mkdir(asideDir, { recursive: true, mode: 0o700 });
  const sources = await findAllFiles(dir, settings);
  const copied = new Map((await readJournal(asideDir)).map((file) => [file.path, file]));
  const total = sources.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  await assertRoom(
    asideDir,
    sources.reduce((sum, file) => sum + (copied.has(file.path) ? 0 : file.sizeBytes), 0),
  );
  let done = 0;
  for (const source of sources) {
    io.signal.throwIfAborted();
    const before = copied.get(source.path);
    if (before !== undefined) {
      if (before.sizeBytes !== source.sizeBytes || before.modifiedAtMs !== source.modifiedAtMs)
        throw changed(source.path);
    } else {
      const progress = (bytes: number) =>
        io.onProgress({ phase: 'copy aside', done: done + bytes, total, unit: 'bytes', note: source.path });
      copied.set(source.path, await copyOne(dir, asideDir, source.path, io.signal, progress));
      await writeJournal(asideDir, [...copied.values()]);
    }
    done += source.sizeBytes;
  }
  for (const path of copied.keys()) if (!sources.some((source) => source.path === path)) throw changed(path);
  return { dir: asideDir, files: [...copied.values()], sizeBytes: total };
}

async function copyOne(
  dir: string,
  asideDir: string,
  path: string,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<AsideFile> {
  const from = join(dir, path);
  const to = join(asideDir, path);
  const partial = `${to}.partial`;
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await rm(partial, { force: true });
  try {
    const { size, mtimeMs } = await stat(from);
    await copyFile(from, partial, constants.COPYFILE_FICLONE);
    const sha256 = await syncAndDigest(partial, size, signal, onProgress);
    const after = await stat(from);
    if (sha256 === undefined || after.size !== size || after.mtimeMs !== mtimeMs) throw changed(path);
    await rename(partial, to);
    await syncFolder(dirname(to));
    return { path, sizeBytes: size, modifiedAtMs: Math.round(mtimeMs), sha256 };
  } catch (error) {
    await rm(partial, { force: true });
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw full(`no room is left in ${asideDir}`);
    throw error;
  }
}

/** Undefined where the file is not that long. */
async function syncAndDigest(
  path: string,
  sizeBytes: number,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<string | undefined> {
  const file = await open(path, 'r+');
  try {
    await file.chmod(0o600);
    await file.sync();
    const hash = createHash('sha256');
    const block = Buffer.allocUnsafe(blockBytes);
    let at = 0;
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(block, 0, block.length, at);
      if (bytesRead === 0) break;
      hash.update(block.subarray(0, bytesRead));
      at += bytesRead;
      onProgress(at);
    }
    return at === sizeBytes ? hash.digest('hex') : undefined;
  } finally {
    await file.close();
  }
}

async function readJournal(asideDir: string): Promise<AsideFile[]> {
  try {
    const { files } = JSON.parse(await readFile(join(asideDir, journalName), 'utf8')) as { files: AsideFile[] };
    const there = await Promise.all(
      files.map(
        async (file) => (await stat(join(asideDir, file.path)).catch(() => undefined))?.size === file.sizeBytes,
      ),
    );
    return files.filter((_, i) => there[i]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return [];
    throw error;
  }
}

async function writeJournal(asideDir: string, files: readonly AsideFile[]): Promise<void> {
  const path = join(asideDir, journalName);
  const file = await open(`${path}.partial`, 'w', 0o600);
  try {
    await file.writeFile(`${JSON.stringify({ files }, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.partial`, path);
  await syncFolder(asideDir);
}

async function assertRoom(asideDir: string, wanted: number): Promise<void> {
  const disk = await statfs(asideDir);
  const free = disk.bavail * disk.bsize;
  if (free < wanted + marginBytes) throw full(`${free} bytes are free in ${asideDir}; the copies need ${wanted}`);
}

const full = (what: string) =>
  new RewindError('DISK_FULL', `The damaged files cannot be copied aside: ${what}.`, {
    safe: 'The original files were only read.',
    next: 'Make room, or name a folder on another disk, then let the runbook go on.',
  });

const changed = (path: string) =>
  new RewindError('CORRUPTION_ASIDE_CHANGED', `${path} has changed since it was copied aside.`, { details: { path } });
