import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, chown, link, lstat, open, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { syncFolder } from '../journal.ts';

export { syncFolder };

const pieceBytes = 4 * 1024 * 1024;
/** A restored file holds all data: for its user and group. */
const fileMode = 0o640;

/**
 * Copies a file so that it is there whole or not at all, also after a power failure: temporary name, fsync, rename.
 *
 * @returns the digest and length of what was written
 * @throws DISK_FULL; RESTORE_DUMP_DIFFERS where `sha256` is another
 */
export async function copyDurably(
  from: string,
  to: string,
  options: { sha256?: string; owner?: string },
  io: StepIO,
): Promise<{ sha256: string; sizeBytes: number }> {
  const hash = createHash('sha256');
  let done = 0;
  const { size: total } = await stat(from);
  await writeDurably(to, options.owner, async (file) => {
    for await (const piece of createReadStream(from, { highWaterMark: pieceBytes }) as AsyncIterable<Buffer>) {
      io.signal.throwIfAborted();
      hash.update(piece);
      await file.appendFile(piece);
      done += piece.length;
      io.onProgress({ phase: 'place', done, total, unit: 'bytes' });
    }
    const sha256 = hash.copy().digest('hex');
    if (options.sha256 !== undefined && sha256 !== options.sha256) {
      throw new RewindError(
        'RESTORE_DUMP_DIFFERS',
        `${from} has the SHA-256 ${sha256}, its manifest ${options.sha256}.`,
      );
    }
  });
  return { sha256: hash.digest('hex'), sizeBytes: done };
}

export async function writeTextDurably(to: string, text: string, owner?: string): Promise<void> {
  await writeDurably(to, owner, async (file) => file.appendFile(text));
}

async function writeDurably(
  to: string,
  owner: string | undefined,
  write: (file: { appendFile(data: string | Uint8Array): Promise<void> }) => Promise<void>,
): Promise<void> {
  const temporary = join(dirname(to), `.${basename(to)}.${randomBytes(6).toString('hex')}.part`);
  try {
    const file = await open(temporary, 'wx', fileMode);
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    if (owner) await giveTo(temporary, owner);
    await rename(temporary, to);
    await syncFolder(dirname(to));
  } catch (error) {
    await rm(temporary, { force: true });
    throw asDiskFull(error, dirname(to));
  }
}

/** Another name for the same bytes where the file system can do that, else a copy. */
export async function linkOrCopy(from: string, to: string, owner: string, io: StepIO): Promise<void> {
  const linked = await link(from, to).then(
    () => true,
    () => false,
  );
  if (!linked) await copyDurably(from, to, { owner }, io);
}

/**
 * Files are for the user that the server's folder belongs to. An agent that runs as root gives them to it; any other shares
 * them by the folder's group, where it is a member.
 */
export async function giveTo(path: string, folder: string): Promise<void> {
  const { uid, gid } = await stat(folder);
  const self = process.getuid?.();
  if (self === undefined || self === uid) return;
  if (self === 0) return chown(path, uid, gid);
  if (!process.getgroups?.().includes(gid)) return;
  await chown(path, self, gid);
  await chmod(path, (await stat(path)).isDirectory() ? 0o770 : 0o660);
}

/** @throws DISK_FULL */
export async function needRoom(folder: string, bytes: number): Promise<void> {
  const disk = await statfs(folder);
  const free = disk.bavail * disk.bsize;
  if (free < bytes) throw new RewindError('DISK_FULL', `${folder} has ${free} bytes free; the restore needs ${bytes}.`);
}

export async function sha256Of(path: string, io: StepIO): Promise<string> {
  const hash = createHash('sha256');
  let done = 0;
  for await (const piece of createReadStream(path, { highWaterMark: pieceBytes }) as AsyncIterable<Buffer>) {
    io.signal.throwIfAborted();
    hash.update(piece);
    done += piece.length;
    io.onProgress({ phase: 'compare', done, unit: 'bytes' });
  }
  return hash.digest('hex');
}

export async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

function asDiskFull(error: unknown, folder: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new RewindError('DISK_FULL', `No room is left in ${folder} for the restored files.`, { cause: error });
}
