import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAofManifest } from '../../aof/manifest.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { LocalDump } from './local-files.ts';
import type { LocalSettings } from './local-settings.ts';

/** The append-only file of a stopped server, as its names and sizes tell. */
export interface LocalAof {
  /** `parts`: Redis 7.0 and newer, named by a manifest; `one-file`: before; `missing`: the server would start empty. */
  readonly form: 'parts' | 'one-file' | 'missing';
  /** Of the files that would be loaded. */
  readonly sizeBytes: number;
  /** When the last of them was written to, ISO 8601. */
  readonly lastWriteAt?: string;
  /** The base, where it is a dump: what the AOF holds without the commands behind it. */
  readonly base?: LocalDump;
  /** Files that the manifest names and that are not there: the server refuses to start. */
  readonly missingFiles: readonly string[];
  /** Parts that lie in the folder although no manifest names them: what is left of an AOF that lost its manifest. */
  readonly unnamedFiles: readonly string[];
  /** Why the manifest cannot be read: the server refuses to start. */
  readonly manifestDamage?: string;
}

/** The files that a server would load, in their order, by their paths. */
export interface AofPaths {
  readonly form: LocalAof['form'];
  readonly paths: readonly string[];
  readonly manifestDamage?: string;
}

/** Finds the files by the manifest. @see https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ */
export async function aofPaths({ dir, appenddirname, appendfilename }: LocalSettings): Promise<AofPaths> {
  const folder = join(dir, appenddirname);
  const manifest = await readFile(join(folder, `${appendfilename}.manifest`)).catch(() => undefined);
  if (manifest) {
    try {
      const { base, incrs } = parseAofManifest(manifest);
      const named = [...(base ? [base] : []), ...incrs].map(({ name }) => join(folder, name));
      return { form: 'parts', paths: named };
    } catch (error) {
      if (!(error instanceof RewindError)) throw error;
      return { form: 'parts', paths: [], manifestDamage: error.message };
    }
  }
  // An AOF of the old form is taken over by a newer server, which makes a manifest for it.
  const single = join(dir, appendfilename);
  return (await fileAt(single)) ? { form: 'one-file', paths: [single] } : { form: 'missing', paths: [] };
}

/** What of it is there. The base is read where it is a dump; commands are not replayed. */
export async function readLocalAof(
  settings: LocalSettings,
  readBase: (path: string) => Promise<LocalDump>,
): Promise<LocalAof> {
  const { form, paths, manifestDamage } = await aofPaths(settings);
  const files = await Promise.all(paths.map(async (path) => ({ path, found: await fileAt(path) })));
  const present = files.flatMap(({ found }) => (found ? [found] : []));
  const lastWriteAt = present
    .map(({ at }) => at)
    .sort()
    .at(-1);
  const base = files.find(({ path, found }) => found && path.endsWith('.base.rdb'));
  return {
    form,
    sizeBytes: present.reduce((sum, { size }) => sum + size, 0),
    ...(lastWriteAt ? { lastWriteAt } : {}),
    ...(base ? { base: await readBase(base.path) } : {}),
    missingFiles: files.filter(({ found }) => !found).map(({ path }) => nameOf(path)),
    unnamedFiles: await unnamed(settings, paths.map(nameOf)),
    ...(manifestDamage ? { manifestDamage } : {}),
  };
}

async function unnamed(
  { dir, appenddirname, appendfilename }: LocalSettings,
  named: readonly string[],
): Promise<string[]> {
  const present = await readdir(join(dir, appenddirname)).catch(() => [] as string[]);
  const isPart = (name: string) => name.startsWith(`${appendfilename}.`) && /\.(?:rdb|aof)$/.test(name);
  return present.filter((name) => isPart(name) && !named.includes(name));
}

async function fileAt(path: string): Promise<{ size: number; at: string } | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? { size: found.size, at: found.mtime.toISOString() } : undefined;
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
