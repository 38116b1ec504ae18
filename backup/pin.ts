import { constants } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, rename, stat, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import { readLeadingAux } from '../rdb/leading-aux.ts';

/**
 * Redis replaces its dump by rename at the end of every save, so a file opened by name twice can be two saves. A pin is
 * the one that was written, whatever Redis does next: a hard link, or one open descriptor where the system refuses the
 * link (`fs.protected_hardlinks`: the dump belongs to another user).
 */
export type Pin =
  | { readonly kind: 'link'; readonly path: string; readonly sizeBytes: number; readonly ctime: number }
  | { readonly kind: 'descriptor'; readonly sizeBytes: number; readonly ctime: number };

/** The bytes behind a pin, as the reader and the repository take them. */
export type PinnedBytes = { readonly path: string } | { readonly fd: number };

/** Beside the dump, because a hard link cannot leave its file system. */
export const pinFolder = (redisDir: string): string => join(redisDir, '.rewind');

const pinPath = (redisDir: string, backupId: string): string => join(pinFolder(redisDir), `${backupId}.pin`);

/** Descriptors of pins that could not be links. They end with this process: a pin that is gone is PIN_LOST. */
const heldDescriptors = new Map<string, FileHandle>();

/**
 * Pins the dump that a save left. Twice the same gives the same pin.
 *
 * @param dump where Redis writes, by its CONFIG; `startedAt` is the second (Redis' clock) that the save may not be older than
 * @throws DUMP_NOT_FRESH, DISK_FULL
 */
export async function pinDump(
  backupId: string,
  dump: { dir: string; dbfilename: string; startedAt: number },
): Promise<Pin> {
  const source = join(dump.dir, dump.dbfilename);
  const target = pinPath(dump.dir, backupId);
  const linked = await linkDump(source, target);
  if (linked) {
    const sizeBytes = (await stat(target)).size;
    const ctime = await freshness({ path: target }, source, dump.startedAt).catch(async (error) => {
      await unlink(target).catch(() => undefined);
      throw error;
    });
    return { kind: 'link', path: target, sizeBytes, ctime };
  }
  const held = heldDescriptors.get(backupId) ?? (await open(source, constants.O_RDONLY));
  heldDescriptors.set(backupId, held);
  const ctime = await freshness({ fd: held.fd }, source, dump.startedAt).catch(async (error) => {
    await releaseDescriptor(backupId);
    throw error;
  });
  return { kind: 'descriptor', sizeBytes: (await held.stat()).size, ctime };
}

/** @returns false where the system does not allow a hard link here */
async function linkDump(source: string, target: string): Promise<boolean> {
  try {
    await mkdir(join(target, '..'), { recursive: true, mode: 0o700 });
    await link(source, target);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EEXIST') return true;
    if (code === 'EPERM' || code === 'EXDEV' || code === 'EACCES' || code === 'EROFS' || code === 'ENOTSUP')
      return false;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new RewindError('DISK_FULL', `No room to pin the dump in ${join(target, '..')}.`);
    }
    if (code === 'ENOENT') {
      throw new RewindError('DUMP_NOT_FRESH', `Redis says that its dump is ${source}, but no such file is here.`);
    }
    throw error;
  }
}

async function freshness(bytes: PinnedBytes, source: string, startedAt: number): Promise<number> {
  const ctime = Number((await readLeadingAux(bytes)).ctime);
  if (!(ctime >= startedAt)) {
    const age = Number.isFinite(ctime) ? `${startedAt - ctime} s before the save was asked for` : 'without a date';
    throw new RewindError('DUMP_NOT_FRESH', `The dump at ${source} was begun ${age}: it is not the one just saved.`);
  }
  return ctime;
}

/**
 * The bytes of a pin made earlier, perhaps by an agent process that has ended since.
 *
 * @throws PIN_LOST
 */
export async function pinnedBytes(backupId: string, pin: Pin): Promise<PinnedBytes> {
  const held = heldDescriptors.get(backupId);
  if (pin.kind === 'descriptor') {
    if (held) return { fd: held.fd };
    throw new RewindError('PIN_LOST', 'The agent that held the dump’s descriptor has ended.');
  }
  const found = await stat(pin.path).catch(() => undefined);
  if (found?.size === pin.sizeBytes) return { path: pin.path };
  throw new RewindError('PIN_LOST', `The pinned dump ${pin.path} is ${found ? 'of another size' : 'gone'}.`);
}

async function releaseDescriptor(backupId: string): Promise<void> {
  await heldDescriptors.get(backupId)?.close();
  heldDescriptors.delete(backupId);
}

/**
 * Lets go of a backup's pin and of what crashed runs left; one workflow at a time owns an instance, so every other pin
 * is a leftover. With `keep` > 0 the stored dump stays as `<backup id>.rdb` for a quick restore on the host.
 *
 * @returns how many files were removed
 */
export async function prunePins(
  redisDir: string,
  backupId: string,
  local: { keep: number; forMs: number; minFreePercent: number; stored: boolean; now: number },
): Promise<number> {
  await releaseDescriptor(backupId);
  const folder = pinFolder(redisDir);
  const names = await readdir(folder).catch(() => [] as string[]);
  if (local.keep > 0 && local.stored && names.includes(`${backupId}.pin`)) {
    await rename(pinPath(redisDir, backupId), join(folder, `${backupId}.rdb`));
  }
  const copies = (await readdir(folder).catch(() => [] as string[])).sort().reverse();
  const kept = copies.filter((name) => name.endsWith('.rdb')).slice(0, local.keep);
  let removed = 0;
  for (const name of copies) {
    if (!name.endsWith('.pin') && !name.endsWith('.rdb')) continue;
    const path = join(folder, name);
    const age = local.now - ((await stat(path).catch(() => undefined))?.ctimeMs ?? 0);
    if (kept.includes(name) && age <= local.forMs) continue;
    await unlink(path).catch(() => undefined);
    removed += 1;
  }
  // Names sort by time, so the oldest goes first.
  for (const name of kept.reverse()) {
    if ((await freePercent(folder)) >= local.minFreePercent) break;
    await unlink(join(folder, name)).catch(() => undefined);
    removed += 1;
  }
  return removed;
}

async function freePercent(folder: string): Promise<number> {
  const disk = await statfs(folder).catch(() => undefined);
  return disk ? (100 * disk.bavail) / disk.blocks : 100;
}
