import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findOnPath } from '../machine.mjs';
import { run } from '../run.mjs';
import { Unavailable } from '../unavailable.mjs';

/** Taken from the system in any case: a second C library beside the running one is asking for trouble. */
const alwaysOnTheSystem = new Set(['libc6', 'adduser', 'lsb-base', 'init-system-helpers', 'debconf', 'dpkg']);
const deepest = 4;

/**
 * The distribution's own Redis, unpacked into the cache: no root, no installation, no service started. apt checks the packages
 * against the distribution's signature.
 */
export function debianRedis() {
  return {
    what: "the distribution's packages, unpacked",
    async fill(folder, now) {
      for (const tool of ['apt-get', 'dpkg', 'dpkg-deb', 'dpkg-query', 'ldd']) {
        if (findOnPath(tool) === undefined) throw new Unavailable(`no ${tool} here: this is no Debian or Ubuntu`);
      }
      const unpacked = join(folder, 'root');
      mkdirSync(unpacked);
      const apt = new AptDownload(folder, now);
      // redis-tools carries the one binary that is redis-server, redis-check-rdb and redis-check-aof by the name it is called by.
      let wanted = ['redis-tools'];
      for (let depth = 0; depth < deepest && wanted.length > 0; depth++) {
        const next = new Set();
        for (const name of wanted) {
          const file = await apt.get(name);
          if (file === undefined) continue;
          await run('dpkg-deb', ['-x', file, unpacked]);
          for (const dependency of await dependencies(file)) next.add(dependency);
        }
        if ((await missingLibraries(unpacked)).length === 0) break;
        wanted = [...next].filter((name) => !apt.has(name));
      }
      const missing = await missingLibraries(unpacked);
      if (missing.length > 0) throw new Unavailable(`the packages bring no ${missing.join(', ')}`);
      writePrograms(folder, unpacked);
      await apt.forget();
    },
  };
}

/** Downloads packages by apt, with lists of its own where the system's are missing or too old. */
class AptDownload {
  #folder;
  #now;
  #files = new Map();
  #ownLists = false;

  constructor(folder, now) {
    this.#folder = join(folder, 'apt');
    this.#now = now;
    mkdirSync(join(this.#folder, 'lists', 'partial'), { recursive: true });
    mkdirSync(join(this.#folder, 'archives', 'partial'), { recursive: true });
  }

  has(name) {
    return this.#files.has(name);
  }

  /** The downloaded package's file; undefined for a name that only stands for others. */
  async get(name) {
    this.#now(`apt-get download ${name}`);
    const before = new Set(this.#packages());
    try {
      await this.#apt('download', name);
    } catch (error) {
      if (this.#ownLists) {
        if (this.#files.size === 0) throw new Unavailable(error.message);
        this.#files.set(name, undefined); // a virtual package: what it stands for shows as a library found or missing
        return undefined;
      }
      this.#now('apt-get update, into lists of its own');
      this.#ownLists = true;
      try {
        await this.#apt('update');
      } catch (failure) {
        throw new Unavailable(failure.message);
      }
      return this.get(name);
    }
    const file = this.#packages().find((each) => !before.has(each));
    this.#files.set(name, file && join(this.#folder, file));
    return this.#files.get(name);
  }

  async forget() {
    await run('rm', ['-rf', this.#folder]);
  }

  #packages() {
    return readdirSync(this.#folder).filter((name) => name.endsWith('.deb'));
  }

  async #apt(...args) {
    const own = this.#ownLists
      ? [
          '-o',
          `Dir::State::lists=${join(this.#folder, 'lists')}`,
          '-o',
          `Dir::Cache=${this.#folder}`,
          '-o',
          'Debug::NoLocking=1',
        ]
      : [];
    // As root apt would hand the download to a user who may not enter this folder.
    const options = ['-q', '-o', 'APT::Sandbox::User=root', '-o', 'Acquire::Retries=1', ...own];
    await run('apt-get', [...options, ...args], { cwd: this.#folder, timeoutMs: 180_000 });
  }
}

/** The names in a package's Depends that this system has not installed; of alternatives the first. */
async function dependencies(file) {
  const { stdout } = await run('dpkg-deb', ['-f', file, 'Depends']);
  const names = stdout
    .split(',')
    .map(
      (entry) =>
        entry
          .split('|')[0]
          .trim()
          .split(/[\s:(]/)[0],
    )
    .filter((name) => name !== '' && !alwaysOnTheSystem.has(name));
  const missing = [];
  for (const name of names) if (!(await isInstalled(name))) missing.push(name);
  return missing;
}

async function isInstalled(name) {
  try {
    const { stdout } = await run('dpkg-query', ['--status', name]);
    return /^Status: .* installed$/m.test(stdout);
  } catch {
    return false;
  }
}

async function missingLibraries(unpacked) {
  const env = { ...process.env, LD_LIBRARY_PATH: libraryFolders(unpacked).join(':') };
  const missing = new Set();
  for (const name of ['redis-check-rdb', 'redis-cli', 'redis-benchmark']) {
    const { stdout } = await run('ldd', [join(unpacked, 'usr', 'bin', name)], { env });
    for (const [, library] of stdout.matchAll(/^\s*(\S+) => not found/gm)) missing.add(library);
  }
  return [...missing];
}

/** Folders of the unpacked packages that hold libraries: /usr/lib/<triplet> and, on older systems, /lib/<triplet>. */
function libraryFolders(unpacked) {
  return ['usr/lib', 'lib']
    .map((each) => join(unpacked, each))
    .filter(existsSync)
    .flatMap((each) =>
      readdirSync(each, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(each, entry.name)),
    )
    .filter((each) => readdirSync(each).some((name) => name.includes('.so')));
}

/** Small starters that find the libraries beside them, so that a part is one path and its folder can be renamed. */
function writePrograms(folder, unpacked) {
  const programs = join(unpacked, 'usr', 'bin');
  if (!existsSync(join(programs, 'redis-server'))) symlinkSync('redis-check-rdb', join(programs, 'redis-server'));
  const libraries = libraryFolders(unpacked)
    .map((each) => `$here/../${each.slice(folder.length + 1)}`)
    .join(':');
  mkdirSync(join(folder, 'bin'));
  for (const name of ['redis-server', 'redis-check-rdb', 'redis-check-aof', 'redis-cli', 'redis-benchmark']) {
    if (!existsSync(join(programs, name))) continue;
    const starter = join(folder, 'bin', name);
    writeFileSync(
      starter,
      `#!/bin/sh
here=\${0%/*}
LD_LIBRARY_PATH="${libraries}\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/../root/usr/bin/${name}" "$@"
`,
    );
    chmodSync(starter, 0o755);
  }
}
