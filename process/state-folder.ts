import { join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Where this redis-rewind keeps its state: REWIND_HOME; else `.rewind` in the checkout; where it runs as an installed package, in the
 * current folder.
 */
export function stateFolder(): string {
  if (process.env.REWIND_HOME) return resolve(process.env.REWIND_HOME);
  const root = fileURLToPath(new URL('..', import.meta.url));
  return join(root.includes(`${sep}node_modules${sep}`) ? process.cwd() : root, '.rewind');
}
