import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

/** The absolute path of a program by name, as a shell would find it, or undefined. A path is only checked. */
export function findOnPath(command: string, path: string | undefined): string | undefined {
  if (isAbsolute(command) || command.includes('/')) return executable(resolve(command));
  for (const folder of (path ?? '').split(delimiter)) {
    const found = folder === '' ? undefined : executable(join(folder, command));
    if (found !== undefined) return found;
  }
  return undefined;
}

function executable(file: string): string | undefined {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile() ? file : undefined;
  } catch {
    return undefined;
  }
}
