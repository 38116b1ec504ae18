import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleWorkflows } from '../../scripts/build/workflow-bundle.ts';
import { descendants } from '../support/descendants.ts';
import { type Ended, installPackage, npm, oldNode, plainEnvironment, run } from '../support/npm-install.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';
import { untilGone } from '../support/until-gone.ts';

const old = await oldNode();

describe.skipIf(npm === undefined)('the published package, installed with --omit=dev in an empty folder', () => {
  let folder: TemporaryFolder;
  let machine: string;
  let tarball: string;
  const packagePath = (...path: string[]) => join(machine, 'node_modules', 'redis-rewind', ...path);

  beforeAll(async () => {
    folder = await temporaryFolder('package');
    ({ machine, tarball } = await installPackage(folder.path));
  }, 10 * 60_000);
  afterAll(() => folder?.remove());

  const state = (...path: string[]) => join(machine, '.rewind', ...path);

  /** `npx rewind …`, as it is typed there. */
  const npx = (...args: string[]) => ['exec', '--offline', '--', 'rewind', ...args];
  const rewind = (...args: string[]): Promise<Ended> =>
    run(npm as string, npx(...args), { cwd: machine, env: plainEnvironment() });

  const files = async () =>
    (await readdir(packagePath(), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));

  test('takes a backup and proves it, with parts that it finds itself', { timeout: 5 * 60_000 }, async () => {
    const { code, stdout, stderr } = await rewind('up', '--once');
    expect(code, stderr).toBe(0);
    const id = /^backup (\S+) verified: \d+ keys$/m.exec(stdout)?.[1];
    expect(id, stdout).toBeDefined();
    expect((await rewind('backups', 'demo')).stdout).toContain(id);
    // Bundling the workflows at start is what a checkout does; the package brings them along.
    expect(await readFile(state('orchestrator.log'), 'utf8')).not.toMatch(/webpack|Workflow bundle created/);
  });

  test('starts a second time, and ends in order by a Ctrl-C that arrives twice, from the terminal and from npm', {
    timeout: 5 * 60_000,
  }, async () => {
    const child = spawn(npm as string, npx('up'), { cwd: machine, env: plainEnvironment(), detached: true });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
    try {
      await expect.poll(() => said, { timeout: 2 * 60_000 }).toMatch(/verified: \d+ keys[\s\S]*^Up\./m);
      const all = descendants(child.pid as number);
      expect(all.map(({ args }) => args)).toContainEqual(expect.stringContaining('redis-server'));
      expect(await readdir(state('lock'))).toHaveLength(1);
      // npm hands it on to its child: a shell, or where the shell gave its place to it, as bash does, the command itself.
      const command = all.find(({ args }) => /^node .*\brewind up$/.test(args))?.pid as number;
      process.kill(-(child.pid as number), 'SIGINT');
      await sleep(20);
      process.kill(command, 'SIGINT');
      expect(await untilGone([child.pid as number, ...all.map(({ pid }) => pid)], 30_000)).toEqual([]);
      // One that is killed cannot give back its lock, and what it had started is ended by the leashes.
      expect(await readdir(state('lock'))).toEqual([]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('answers --version and --help at once, loading neither Temporal nor the AWS SDK', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8'));
    expect(await rewind('--version')).toMatchObject({ code: 0, stdout: `${version}\n` });
    const help = await rewind('--help');
    expect(help.code).toBe(0);
    expect(help.stdout).toMatch(/\n {2}up .*\n/);

    const traced = await run(process.execPath, [packagePath('bin', 'rewind.mjs'), '--help'], {
      env: { ...plainEnvironment(), NODE_DEBUG: 'esm,module' },
    });
    expect(traced.stderr).toContain('commander');
    expect(traced.stderr).not.toMatch(/@temporalio|@aws-sdk/);
  });

  test('passes the exit code of wrong usage through', async () => {
    expect((await rewind('no-such-command')).code).toBe(2);
  });

  test.skipIf(old === undefined)('tells an old Node that it is old, and which is needed', async () => {
    const { engines } = JSON.parse(await readFile('package.json', 'utf8'));
    const { code, stderr } = await run(old as string, [packagePath('bin', 'rewind.mjs'), '--version']);
    expect(code).toBe(1);
    expect(stderr).toContain(`Node ${engines.node.replace('>=', '')} or newer is needed`);
    expect(stderr).not.toContain('at ');
  });

  test('holds JavaScript that runs, the pages and nothing else', async () => {
    const names = (await files()).map((path) => path.slice(packagePath().length + 1));
    const published =
      /^(bin\/rewind\.mjs|dist\/.+\.m?js|docs\/.+\.md|deploy\/systemd\/.+\.service|rewind\.example\.yaml|package\.json|LICENSE|(README|CHANGELOG)\.md)$/;
    expect(names.filter((name) => !published.test(name))).toEqual([]);
    expect(names).toEqual(expect.arrayContaining(['dist/workflow-bundle.js', 'LICENSE', 'CHANGELOG.md']));
    expect((await stat(tarball)).size).toBeLessThan(1024 * 1024);
  });

  test('names nothing of the folder that it was built in', async () => {
    for (const path of await files()) {
      expect((await readFile(path, 'utf8')).includes(join(folder.path, 'checkout')), path).toBe(false);
    }
  });

  test('imports no package that it does not depend on itself', async () => {
    // npm puts the dependencies of dependencies beside them, so that a run alone would not show it.
    const { dependencies } = JSON.parse(await readFile(packagePath('package.json'), 'utf8'));
    const imported = new Set<string>();
    for (const path of await files()) {
      if (!/\.m?js$/.test(path) || path.endsWith('workflow-bundle.js')) continue;
      const text = await readFile(path, 'utf8');
      for (const [, name = ''] of text.matchAll(
        /(?:^import |^(?:import|export) [^;'"=]* from |\bimport\()['"]([^'"]+)['"]/gm,
      )) {
        if (!/^(\.|node:)/.test(name)) imported.add(name.split('/', name.startsWith('@') ? 2 : 1).join('/'));
      }
    }
    expect(imported).toContain('commander');
    expect([...imported].filter((name) => !(name in dependencies) && !builtinModules.includes(name))).toEqual([]);
    expect([...Object.keys(dependencies)].filter((name) => !existsSync(join(machine, 'node_modules', name)))).toEqual(
      [],
    );
  });
});

test('the bundled workflows, their source map included, name nothing of the machine that built them', async () => {
  const bundle = await bundleWorkflows(process.cwd());
  const map = Buffer.from(/sourceMappingURL=data:[^,]*,(\S+)/.exec(bundle)?.[1] ?? '', 'base64').toString('utf8');
  expect(JSON.parse(map).sources).toContain('workflows/scheduled-backup.ts');
  // Compared here: a failure that shows the bundle fills the terminal.
  expect([bundle, map].map((text) => text.includes(process.cwd()))).toEqual([false, false]);
});
