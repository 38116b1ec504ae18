import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type AofManifest, parseAofManifest } from '../../aof/manifest.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { PersistenceSettings } from './settings.ts';

export type FileRole = 'dump' | 'manifest' | 'base' | 'incr' | 'single';

/** A file that the server would load, or wants to. */
export interface FoundFile {
  /** Below the server's folder. */
  readonly path: string;
  readonly role: FileRole;
  /** Undefined: it is not there. */
  readonly sizeBytes?: number;
  /** Unix ms of the last write. */
  readonly modifiedAtMs?: number;
}

/** What a start of the server would load, in its order. */
export interface FoundFiles {
  readonly form: 'rdb' | 'aof-multi' | 'aof-single';
  readonly files: readonly FoundFile[];
  readonly manifest?: AofManifest;
  readonly manifestError?: RewindError;
  /** Why the server would start without any data, where it would. */
  readonly startsEmpty?: string;
}

/** A manifest is some few lines. */
const longestManifest = 4 * 1024 * 1024;

/** Multi-part append-only files came with Redis 7.0; all of Valkey has them. */
export function writesManyParts({ serverVersion }: PersistenceSettings): boolean | undefined {
  const major = /^(\d+)\./.exec(serverVersion ?? '')?.[1];
  return major === undefined ? undefined : Number(major) >= 7;
}

export const manifestPath = (settings: PersistenceSettings): string =>
  join(settings.appenddirname, `${settings.appendfilename}.manifest`);

/**
 * Finds the files that the server would load from its folder (server.c, loadDataFromDisk; aof.c,
 * aofLoadManifestFromDisk). With `appendonly yes` the dump is not looked at.
 *
 * @param dir the server's folder, or a copy of it
 */
export async function findFiles(dir: string, settings: PersistenceSettings): Promise<FoundFiles> {
  if (!settings.appendonly) {
    const dump = await fileAt(dir, settings.dbfilename, 'dump');
    const startsEmpty = `there is no ${settings.dbfilename}`;
    return { form: 'rdb', files: [dump], ...(dump.sizeBytes === undefined ? { startsEmpty } : {}) };
  }
  const single = await fileAt(dir, settings.appendfilename, 'single');
  const manifest = await fileAt(dir, manifestPath(settings), 'manifest');
  const manyParts = writesManyParts(settings) ?? (manifest.sizeBytes !== undefined || single.sizeBytes === undefined);
  if (!manyParts) return oneFile(single, settings);
  if (manifest.sizeBytes === undefined) {
    // An older server's file: it is taken over as the base.
    if (single.sizeBytes !== undefined) return oneFile(single, settings);
    const startsEmpty = `appendonly is yes and there is no manifest in ${settings.appenddirname}: the server looks at no other file`;
    return { form: 'aof-multi', files: [manifest], startsEmpty };
  }
  return manyFiles(dir, settings, manifest);
}

function oneFile(single: FoundFile, settings: PersistenceSettings): FoundFiles {
  const nothing = single.sizeBytes === undefined || single.sizeBytes === 0;
  const startsEmpty = `appendonly is yes and ${settings.appendfilename} is ${single.sizeBytes === 0 ? 'empty' : 'not there'}: the server looks at no other file`;
  return { form: 'aof-single', files: [single], ...(nothing ? { startsEmpty } : {}) };
}

async function manyFiles(dir: string, settings: PersistenceSettings, found: FoundFile): Promise<FoundFiles> {
  let manifest: AofManifest;
  try {
    if ((found.sizeBytes ?? 0) > longestManifest) {
      throw new RewindError('AOF_MANIFEST_INVALID', 'it is longer than any manifest', {
        details: { offset: 0, line: 1 },
      });
    }
    manifest = parseAofManifest(await readFile(join(dir, found.path)));
  } catch (error) {
    if (!(error instanceof RewindError)) throw error;
    return { form: 'aof-multi', files: [found], manifestError: error };
  }
  const parts = [...(manifest.base === undefined ? [] : [manifest.base]), ...manifest.incrs];
  const files = await Promise.all(
    parts.map(({ name, type }) => fileAt(dir, join(settings.appenddirname, name), type === 'base' ? 'base' : 'incr')),
  );
  const startsEmpty = 'the manifest names no file';
  return { form: 'aof-multi', files: [found, ...files], manifest, ...(parts.length === 0 ? { startsEmpty } : {}) };
}

async function fileAt(dir: string, path: string, role: FileRole): Promise<FoundFile> {
  try {
    const { size, mtimeMs } = await stat(join(dir, path));
    return { path, role, sizeBytes: size, modifiedAtMs: Math.round(mtimeMs) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || (error as NodeJS.ErrnoException).code === 'ENOTDIR') {
      return { path, role };
    }
    throw new RewindError('AOF_READ_FAILED', `${path} cannot be looked at: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Every file of the server that holds data: what it would load, what lies beside that, what no manifest names. */
export async function findAllFiles(
  dir: string,
  settings: PersistenceSettings,
): Promise<{ path: string; sizeBytes: number; modifiedAtMs: number }[]> {
  const inDirectory = await readdir(join(dir, settings.appenddirname), { withFileTypes: true }).catch((error) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw new RewindError('AOF_READ_FAILED', `${settings.appenddirname} cannot be read: ${error.message}`, {
      cause: error,
    });
  });
  const paths = [
    settings.dbfilename,
    settings.appendfilename,
    ...inDirectory.filter((each) => each.isFile()).map(({ name }) => join(settings.appenddirname, name)),
  ];
  const found = await Promise.all(paths.map((path) => fileAt(dir, path, 'single')));
  return found.flatMap(({ path, sizeBytes, modifiedAtMs }) =>
    sizeBytes === undefined ? [] : [{ path, sizeBytes, modifiedAtMs: modifiedAtMs as number }],
  );
}
