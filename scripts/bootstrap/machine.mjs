// This machine: where things are kept, which programs it has. Plain JavaScript for Node >= 18, like all of the bootstrap: it runs
// before the pinned Node and any package is there.
import { accessSync, constants, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's root folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url));

/** "linux-x64", "darwin-arm64": the key of everything that is pinned by platform. */
export const platform = `${process.platform}-${process.arch}`;

/** Where state lives: REWIND_HOME, else `.rewind` in the checkout. */
export function stateFolder() {
  return resolve(process.env.REWIND_HOME || join(root, '.rewind'));
}

/** Where fetched and built parts live, shared by all checkouts of this user. A relative XDG_CACHE_HOME is ignored, as its specification says. */
export function cacheFolder() {
  const xdg = process.env.XDG_CACHE_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(homedir(), '.cache'), 'redis-rewind');
}

/** The absolute path of a program on PATH, or undefined. The checkout's own node_modules/.bin is not the machine. */
export function findOnPath(program) {
  for (const folder of (process.env.PATH || '').split(delimiter)) {
    if (folder === '' || folder.includes('node_modules')) continue;
    const file = join(folder, program);
    if (isProgram(file)) return file;
  }
  return undefined;
}

export function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The command that installs packages here, for messages: the one that this platform's people would type. */
export function installCommand(packages) {
  for (const [program, command, key] of [
    ['brew', 'brew install', 'brew'],
    ['apt-get', 'sudo apt-get install', 'apt'],
    ['dnf', 'sudo dnf install', 'dnf'],
    ['apk', 'sudo apk add', 'apk'],
    ['pacman', 'sudo pacman -S', 'pacman'],
    ['zypper', 'sudo zypper install', 'zypper'],
  ]) {
    if (packages[key] !== undefined && findOnPath(program)) return `${command} ${packages[key]}`;
  }
  return process.platform === 'darwin' && packages.brew !== undefined ? `brew install ${packages.brew}` : undefined;
}
