import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { aofForm } from '../../archive/read/aof-form.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import type { ArchivePlace } from '../../archive/read/records.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import type { ArchivedState } from './archived-state.ts';

/** What the archive has, with what follows from it on the disk. */
export interface ArchivedRequest {
  readonly place: ArchivePlace;
  readonly state: ArchivedState;
}

/** Files below a folder, to be placed as an append-only file. */
export interface ArchivedFiles {
  readonly base: string;
  readonly incr: string;
  readonly baseKind: 'rdb' | 'aof';
}

/**
 * The archive's end laid down beside `workDir`, with the tail behind it: its bytes go on in the same database, since they
 * followed one another in one file. Killed in the middle, the same call goes on where it stopped.
 *
 * @param asideDir the copies of the damaged files; only read
 * @throws CORRUPTION_CHOICE_IMPOSSIBLE where the archive does not prove what it has; DISK_FULL and those of the store
 */
export async function layDownArchived(
  { place, state }: ArchivedRequest,
  { asideDir, workDir }: { readonly asideDir: string; readonly workDir: string },
  io: StepIO,
): Promise<ArchivedFiles> {
  const { moment, tail } = state;
  const dir = `${workDir}-archived`;
  await layDown(place, moment, dir, io).catch((error: unknown) => {
    if (!(error instanceof RewindError) || error.retryable || !error.code.startsWith('ARCHIVE_')) throw error;
    throw new RewindError('CORRUPTION_CHOICE_IMPOSSIBLE', `The archive cannot be used: ${error.message}`, {
      cause: error,
    });
  });
  const form = aofForm(moment);
  const made = `${workDir}-archived-made`;
  await rm(made, { recursive: true, force: true });
  await mkdir(made, { recursive: true, mode: 0o700 });
  const base = join(made, 'base');
  const incr = form.incr === form.base ? base : join(made, 'incr');
  // Another call lays it down anew: what is appended to is never taken for what was laid down.
  await rm(join(dir, '.rewind-moment.json'), { force: true });
  await rename(join(dir, form.folder, form.base), base);
  if (incr !== base) await rename(join(dir, form.folder, form.incr), incr);
  await rm(dir, { recursive: true, force: true });
  const target = await open(incr, 'r+');
  try {
    for (const { path, from, to } of tail) await append(target, join(asideDir, path), from, to, io);
    await target.sync();
  } finally {
    await target.close();
  }
  return { base, incr, baseKind: moment.base.kind };
}

/** Puts what was made where a server looks for it. @param paths below `workDir`; the same twice: one behind the other */
export async function placeArchived(
  { base, incr }: ArchivedFiles,
  workDir: string,
  paths: { readonly base: string; readonly incr: string },
  io: StepIO,
): Promise<void> {
  await mkdir(dirname(join(workDir, paths.base)), { recursive: true, mode: 0o700 });
  await rename(base, join(workDir, paths.base));
  if (incr === base) return;
  if (paths.incr !== paths.base) return rename(incr, join(workDir, paths.incr));
  const target = await open(join(workDir, paths.base), 'r+');
  try {
    await append(target, incr, 0, undefined, io);
  } finally {
    await target.close();
  }
}

async function append(
  target: FileHandle,
  path: string,
  from: number,
  to: number | undefined,
  io: StepIO,
): Promise<void> {
  let at = (await target.stat()).size;
  const source = await open(path, 'r');
  try {
    const end = to ?? (await source.stat()).size;
    const block = Buffer.allocUnsafe(1024 * 1024);
    for (let done = from; done < end; ) {
      io.signal.throwIfAborted();
      const { bytesRead } = await source.read(block, 0, Math.min(block.length, end - done), done);
      if (bytesRead === 0) throw new RewindError('AOF_READ_FAILED', 'a copied file became shorter while it was read');
      await target.write(block, 0, bytesRead, at);
      done += bytesRead;
      at += bytesRead;
    }
  } finally {
    await source.close();
  }
}
