// The cache folder: one folder a part and version, which is whole or not there at all. A part is put together under a temporary
// name beside it, checked by running it, and renamed.
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, isProgram, platform } from './machine.mjs';
import { identity, isAlive } from './ticket-lock.mjs';

const recordName = 'installed.json';
const temporary = /^\.tmp-(\d+)\.([^.]+)\.[0-9a-f]+$/;

export function partFolder(part) {
  return join(cacheFolder(), `${part.name}-${part.version}-${platform}`);
}

/**
 * The part as an earlier run left it, or undefined. Only its record and its size are looked at: a program of 250 MB is hashed when
 * it is installed, not at every start.
 * @returns {{ path: string, version: string, source: string } | undefined}
 */
export function readCached(part) {
  const folder = partFolder(part);
  try {
    const record = JSON.parse(readFileSync(join(folder, recordName), 'utf8'));
    const path = join(folder, 'bin', part.program);
    if (!isProgram(path) || statSync(path).size !== record.size) return undefined;
    return { path, version: record.version, source: record.source };
  } catch {
    return undefined;
  }
}

/**
 * Puts a part into the cache: `fill` brings it into a temporary folder, `check` runs it there and returns its version.
 * @param {{ name: string, version: string, program: string }} part
 * @param {string} source how it was had, for the record
 * @param {(folder: string) => Promise<void>} fill must leave `bin/<program>`
 * @param {(program: string) => Promise<string>} check
 */
export async function install(part, source, fill, check) {
  const folder = temporaryFolder();
  try {
    await fill(folder);
    const program = join(folder, 'bin', part.program);
    if (!isProgram(program)) throw new Error(`it brought no program ${part.program}`);
    const version = await check(program);
    const record = {
      name: part.name,
      version,
      source,
      size: statSync(program).size,
      installed: new Date().toISOString(),
    };
    writeDurably(join(folder, recordName), `${JSON.stringify(record, null, 2)}\n`);
    const final = partFolder(part);
    rmSync(final, { recursive: true, force: true }); // what stands there was found broken: readCached refused it
    renameSync(folder, final);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return readCached(part);
}

/** A new folder in the cache, named so that a later run sees when its maker has died. */
export function temporaryFolder() {
  const folder = join(cacheFolder(), `.tmp-${process.pid}.${identity(process.pid)}.${randomBytes(4).toString('hex')}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Removes what bootstraps that were killed have left in the cache; with `own`, this process' too. */
export function sweep({ own = false } = {}) {
  let names = [];
  try {
    names = readdirSync(cacheFolder());
  } catch {
    return; // no cache yet
  }
  for (const name of names) {
    const maker = temporary.exec(name);
    if (maker === null) continue;
    const mine = Number(maker[1]) === process.pid;
    if (mine ? own : !isAlive(Number(maker[1]), maker[2])) {
      rmSync(join(cacheFolder(), name), { recursive: true, force: true });
    }
  }
}

function writeDurably(file, text) {
  writeFileSync(file, text);
  const handle = openSync(file, 'r');
  fsyncSync(handle);
  closeSync(handle);
}
