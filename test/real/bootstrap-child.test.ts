import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isAlive } from '../../process/process-identity.ts';
import { findOnPath } from '../../process/program-path.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';
import { untilGone } from '../support/until-gone.ts';

let folder: TemporaryFolder;
let started: ChildProcess[];
beforeEach(async () => {
  folder = await temporaryFolder('child');
  started = [];
  const runToEnd = new URL('../../scripts/bootstrap/child.mjs', import.meta.url).href;
  const child = fileURLToPath(new URL('../support/child-of-start.ts', import.meta.url));
  writeFileSync(
    join(folder.path, 'start.mjs'),
    `import { runToEnd } from ${JSON.stringify(runToEnd)};
    process.exitCode = await runToEnd(process.execPath, [${JSON.stringify(child)}, ${JSON.stringify(notesFile())}], {});`,
  );
  // As package.json has it: with `exec`, or a shell stays between npm and what it runs, and hides npm's end.
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
  const own = { start: scripts.start.replace('node scripts/start.mjs', `"${process.execPath}" start.mjs`) };
  writeFileSync(join(folder.path, 'package.json'), JSON.stringify({ scripts: own }));
});
afterEach(async () => {
  for (const each of started) each.kill('SIGKILL');
  const left = Number(notes()[0]?.slice('pid '.length));
  if (left > 0 && isAlive(left)) process.kill(left, 'SIGKILL');
  await folder.remove();
});

const notesFile = () => join(folder.path, 'notes');
const notes = () => (existsSync(notesFile()) ? readFileSync(notesFile(), 'utf8').trim().split('\n') : []);

/** Starts it in a process group of its own, as a shell does, and waits until its child is up. */
async function start(
  command: string,
  args: string[],
  env = process.env,
): Promise<{ starter: ChildProcess; pid: number }> {
  const options: SpawnOptions = { cwd: folder.path, detached: true, stdio: 'ignore', env };
  const starter = spawn(command, args, options);
  started.push(starter);
  await expect.poll(() => notes()[0], { timeout: 20_000 }).toMatch(/^pid \d+$/);
  return { starter, pid: Number(notes()[0]?.slice('pid '.length)) };
}

/** Without npm's variables, which this test's own run may have put there. */
const plain = () => Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_')));

test('what npm start runs ends when its starter is killed -9', async () => {
  const { starter, pid } = await start(process.execPath, ['start.mjs'], plain());
  starter.kill('SIGKILL');
  expect(await untilGone([pid])).toEqual([]);
  expect(notes()).toEqual([`pid ${pid}`, 'parent gone']);
});

test('a Ctrl-C that arrives twice, from the terminal and from npm, is handed on once, and the exit code is the child’s', async () => {
  const { starter, pid } = await start(process.execPath, ['start.mjs'], plain());
  process.kill(-(starter.pid as number), 'SIGINT');
  starter.kill('SIGINT');
  expect((await once(starter, 'exit'))[0]).toBe(3);
  expect(notes()).toEqual([`pid ${pid}`, 'SIGINT']);
});

test('a child that dies by a signal gives the exit code that a shell would', async () => {
  const { starter, pid } = await start(process.execPath, ['start.mjs'], plain());
  process.kill(pid, 'SIGKILL');
  expect((await once(starter, 'exit'))[0]).toBe(137);
});

const npm = findOnPath('npm', process.env.PATH);

test.skipIf(npm === undefined)('what npm start runs ends when npm itself is killed -9', async () => {
  const { starter, pid } = await start(npm as string, ['start'], plain());
  starter.kill('SIGKILL');
  expect(await untilGone([pid])).toEqual([]);
  expect(notes()).toEqual([`pid ${pid}`, 'parent gone']);
});

test.skipIf(npm === undefined)('Ctrl-C under a real npm reaches the child once', async () => {
  const { starter, pid } = await start(npm as string, ['start'], plain());
  process.kill(-(starter.pid as number), 'SIGINT');
  await once(starter, 'exit');
  expect(await untilGone([pid])).toEqual([]);
  expect(notes()).toEqual([`pid ${pid}`, 'SIGINT']);
});
