import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface WalkedFile {
  /** Relative to the root, with `/`. */
  readonly key: string;
  readonly name: string;
  readonly path: string;
  readonly stats: Stats;
}

/**
 * Every ordinary file below a root whose key may begin with the prefix, in order of names. Symbolic links are not
 * followed: they could lead out of the repository. What vanishes meanwhile is left out.
 */
export async function* walkFiles(root: string, prefix: string): AsyncGenerator<WalkedFile> {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  yield* walk(root, folder, prefix);
}

async function* walk(root: string, folder: string, prefix: string): AsyncGenerator<WalkedFile> {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(goneIsEmpty);
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const key = `${folder}${entry.name}`;
    if (entry.isDirectory()) {
      const below = `${key}/`;
      if (below.startsWith(prefix) || prefix.startsWith(below)) yield* walk(root, below, prefix);
    } else if (entry.isFile()) {
      const path = join(root, key);
      const stats = await lstat(path).catch(goneIsUndefined);
      if (stats) yield { key, name: entry.name, path, stats };
    }
  }
}

function goneIsEmpty(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOENT') return [];
  throw error;
}

function goneIsUndefined(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
