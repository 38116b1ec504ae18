import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { descendants } from '../support/descendants.ts';
import { npm, oldNode, plainEnvironment, run } from '../support/npm-install.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';
import { untilGone } from '../support/until-gone.ts';

const command = fileURLToPath(new URL('../../bin/rewind.mjs', import.meta.url));
const old = await oldNode();
const { version } = JSON.parse(await readFile('package.json', 'utf8'));

let folder: TemporaryFolder;
let started: ChildProcess[];
beforeEach(async () => {
  folder = await temporaryFolder('command');
  started = [];
});
afterEach(async () => {
  for (const each of started) each.kill('SIGKILL');
  await folder.remove();
});

test.skipIf(npm === undefined)(
  'npx rewind finds the command of the checkout, offline and from a folder below',
  async () => {
    const env = { ...plainEnvironment(old), npm_config_cache: folder.path, npm_config_offline: 'true' };
    const answer = await run(npm as string, ['exec', '--', 'rewind', '--version'], { cwd: 'docs', env });
    expect(answer).toMatchObject({ code: 0, stdout: `${version}\n` });
  },
);

test('a checkout in which nothing is installed says what installs it', async () => {
  await mkdir(join(folder.path, 'bin'));
  await mkdir(join(folder.path, 'cli'));
  await copyFile(command, join(folder.path, 'bin', 'rewind.mjs'));
  await copyFile('cli/main.ts', join(folder.path, 'cli', 'main.ts'));
  const { code, stderr } = await run(process.execPath, [join(folder.path, 'bin', 'rewind.mjs'), '--version']);
  expect(code).toBe(1);
  expect(stderr).toContain('npm start');
  expect(stderr.trim().split('\n')).toHaveLength(1);
});

test.skipIf(old === undefined)(
  'on an old Node the command runs by the pinned one, its exit code included',
  async () => {
    expect(await run(old as string, [command, '--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
    expect((await run(old as string, [command, 'no-such-command'])).code).toBe(2);
  },
);

/** A command that goes on until it is told to end: a worker whose Temporal is not there. */
async function waiting(node: string): Promise<ChildProcess> {
  const config = join(folder.path, 'rewind.yaml');
  await writeFile(config, 'temporal: { address: "127.0.0.1:1" }\nrepository: { url: "file:///nowhere" }\n');
  const child = spawn(node, [command, 'worker', '--role', 'orchestrator', '--config', config], {
    env: { ...plainEnvironment(node), REWIND_HOME: folder.path },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  started.push(child);
  let said = '';
  child.stderr?.on('data', (text) => (said += text));
  await expect.poll(() => said, { timeout: 30_000 }).toContain('waiting');
  return child;
}

describe.for([['this Node', process.execPath], ...(old ? [['an old Node', old]] : [])] as [string, string][])(
  'started by %s',
  ([, node]) => {
    test.for(['SIGINT', 'SIGTERM'] as const)('%s ends the command in order, and nothing stays', async (signal) => {
      const child = await waiting(node);
      const below = descendants(child.pid as number).map(({ pid }) => pid);
      const exit = once(child, 'exit');
      child.kill(signal);
      expect(await exit).toEqual([1, null]);
      expect(await untilGone(below)).toEqual([]);
    });
  },
);
