import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
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
}

const MANIFEST_BYTES = 1024 * 1024;

/** @see https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ (multi-part AOF) */
export async function readLocalAof(
  { dir, appenddirname, appendfilename }: LocalSettings,
  readBase: (path: string) => Promise<LocalDump>,
): Promise<LocalAof> {
  const folder = join(dir, appenddirname);
  const present = await readdir(folder).catch(() => [] as string[]);
  const named = await namesIn(join(folder, `${appendfilename}.manifest`));
  const isPart = (name: string) => name.startsWith(`${appendfilename}.`) && /\.(?:rdb|aof)$/.test(name);
  if (named === undefined) {
    // An AOF of the old form is taken over by a newer server, which makes a manifest for it.
    const single = await sizeOf(join(dir, appendfilename));
    const unnamedFiles = present.filter(isPart);
    if (!single) return { form: 'missing', sizeBytes: 0, missingFiles: [], unnamedFiles };
    return { form: 'one-file', sizeBytes: single.size, lastWriteAt: single.at, missingFiles: [], unnamedFiles };
  }
  const files = await Promise.all(named.map(async (name) => ({ name, found: await sizeOf(join(folder, name)) })));
  const baseName = named.find((name) => name.endsWith('.base.rdb'));
  const lastWriteAt = files
    .flatMap(({ found }) => (found ? [found.at] : []))
    .sort()
    .at(-1);
  return {
    form: 'parts',
    sizeBytes: files.reduce((sum, { found }) => sum + (found?.size ?? 0), 0),
    ...(lastWriteAt ? { lastWriteAt } : {}),
    ...(baseName && present.includes(baseName) ? { base: await readBase(join(folder, baseName)) } : {}),
    missingFiles: files.filter(({ found }) => !found).map(({ name }) => name),
    unnamedFiles: present.filter((name) => isPart(name) && !named.includes(name)),
  };
}

/** Base and incrs that the manifest names, not the history; undefined where there is no manifest or an empty one. */
async function namesIn(path: string): Promise<string[] | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const names = [...text.slice(0, MANIFEST_BYTES).matchAll(/^file "?([^"\n]+?)"? seq \d+ type ([bi])\b/gm)];
  const plain = names.map(([, name]) => name as string).filter((name) => !name.includes('/'));
  return plain.length === 0 ? undefined : plain;
}

async function sizeOf(path: string): Promise<{ size: number; at: string } | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? { size: found.size, at: found.mtime.toISOString() } : undefined;
}
