import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The state folder: REWIND_HOME, else `.rewind` beside the configuration in the working folder. */
export function stateFolder(env: NodeJS.ProcessEnv, cwd: string): string {
  return resolve(cwd, env.REWIND_HOME || '.rewind');
}

/** Where backups go when nobody said where: good for a first look, on the same disk as everything else. */
export function defaultRepositoryUrl(home: string): string {
  return pathToFileURL(join(home, 'repository')).href;
}
