import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Where backups go when nobody said where: good for a first look, on the same disk as everything else. */
export function defaultRepositoryUrl(home: string): string {
  return pathToFileURL(join(home, 'repository')).href;
}
