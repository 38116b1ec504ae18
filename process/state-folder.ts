import { extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Where this redis-rewind keeps its state: REWIND_HOME; else `.rewind` in the checkout; where it runs as an installed package, in the
 * current folder.
 */
export function stateFolder(env: NodeJS.ProcessEnv = process.env, cwd: string = process.cwd()): string {
  if (env.REWIND_HOME) return resolve(cwd, env.REWIND_HOME);
  const isCheckout = extname(import.meta.url) === '.ts';
  return join(isCheckout ? fileURLToPath(new URL('..', import.meta.url)) : cwd, '.rewind');
}
