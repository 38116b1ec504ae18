import { execFile } from 'node:child_process';
import { cp, readdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findOnPath } from '../../process/program-path.ts';

const checkout = fileURLToPath(new URL('../..', import.meta.url));

export interface Ended {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The machine's npm, undefined where there is none. */
export const npm = findOnPath('npm', process.env.PATH);

/** A Node of this machine that does not run TypeScript, undefined where there is none. */
export async function oldNode(): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(':')) {
    const node = folder.includes('node_modules') ? undefined : findOnPath('node', folder);
    if (node === undefined) continue;
    const { stdout } = await run(node, ['-p', 'String(Boolean(process.features.typescript))']);
    if (stdout.trim() === 'false') return node;
  }
  return undefined;
}

/** As in a terminal of somebody who has this Node and nothing of this checkout: neither its programs nor what npm told this run. */
export function plainEnvironment(node = process.execPath): NodeJS.ProcessEnv {
  const foreign =
    /^(npm_(package_|lifecycle_|config_(prefix|local_prefix|global|loglevel|workspace|omit))|REWIND_|VITEST|NODE_OPTIONS)/;
  const own = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  const path = (process.env.PATH ?? '').split(':').filter((folder) => !folder.includes('node_modules'));
  return { ...Object.fromEntries(own), PATH: [dirname(node), ...path].join(':') };
}

export function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  return new Promise((settle) => {
    execFile(program, args, { maxBuffer: 64 * 1024 * 1024, ...options }, (error, stdout, stderr) => {
      settle({ code: error === null ? 0 : (error.code ?? error.signal ?? null), stdout, stderr });
    });
  });
}

/**
 * Packs the checkout as it stands and installs the package as an operator does, without what is needed for development only.
 *
 * @param folder an empty one; the package is installed in `machine` below it
 * @returns that folder, and the packed file
 */
export async function installPackage(folder: string): Promise<{ machine: string; tarball: string }> {
  // A copy: packing writes dist/, and a checkout that others work in is not the place.
  const copy = join(folder, 'checkout');
  const left = new Set(['node_modules', '.git', '.rewind', 'dist'].map((name) => join(checkout, name)));
  await cp(checkout, copy, { recursive: true, filter: (path) => !left.has(path) });
  await symlink(join(checkout, 'node_modules'), join(copy, 'node_modules'));
  await npmRun(copy, ['pack', '--pack-destination', folder]);
  const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz')) as string;
  const machine = join(folder, 'machine');
  await cp(join(folder, tarball), join(machine, tarball));
  await writeFile(join(machine, 'package.json'), '{ "private": true }');
  await npmRun(machine, ['install', '--omit=dev', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`]);
  return { machine, tarball: join(machine, tarball) };
}

async function npmRun(cwd: string, args: string[]): Promise<void> {
  const { code, stderr } = await run(npm as string, args, { cwd, env: plainEnvironment() });
  if (code !== 0) throw new Error(`npm ${args.join(' ')} ended with ${code}: ${stderr.slice(-3000)}`);
}
