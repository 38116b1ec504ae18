import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type LeashedSpec, startLeashed } from '../../process/leash.ts';
import { isAlive } from '../../process/process-identity.ts';
import { findOnPath } from '../../process/program-path.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';
import { untilGone } from '../support/until-gone.ts';

let folder: TemporaryFolder;
let data: string;
beforeEach(async () => {
  folder = await temporaryFolder('leash');
  data = join(folder.path, 'data');
  mkdirSync(data);
});
const parents: ChildProcess[] = [];
afterEach(async () => {
  for (const parent of parents.splice(0)) parent.kill('SIGKILL');
  await folder.remove();
});

/** A program that forks, notes each signal it gets, and would run for ever. */
function noting(): LeashedSpec {
  const script = `
    trap 'echo INT >> ${folder.path}/signals' INT; trap 'echo HUP >> ${folder.path}/signals' HUP
    trap 'echo TERM >> ${folder.path}/signals; exit 0' TERM
    sleep 1000 & echo $! > ${folder.path}/forked; while :; do wait; done`;
  return { name: 'noting', command: 'sh', args: ['-c', script], cleanup: [data] };
}

const signals = () =>
  existsSync(join(folder.path, 'signals')) ? readFileSync(join(folder.path, 'signals'), 'utf8') : '';

async function forked(): Promise<number> {
  const file = join(folder.path, 'forked');
  await expect.poll(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n')).toBe(true);
  return Number(readFileSync(file, 'utf8'));
}

interface Family {
  readonly parent: ChildProcess & { pid: number };
  readonly leashPid: number;
  /** Leash, program, and what the program forked. */
  readonly pids: number[];
}

/** A parent in a process group of its own, as a shell would start it, with one leashed program. */
async function family(spec: LeashedSpec = noting()): Promise<Family> {
  const script = fileURLToPath(new URL('../support/leash-parent.ts', import.meta.url));
  const parent = spawn(process.execPath, [script, JSON.stringify([spec])], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  }) as Family['parent'];
  parents.push(parent);
  const [line] = await once(parent.stdout as NodeJS.ReadableStream, 'data');
  const [{ pid, leashPid }] = JSON.parse(String(line));
  const pids = [leashPid, pid, await forked()].filter((each) => each !== 0);
  expect(pids.filter((each) => !isAlive(each))).toEqual([]);
  return { parent, leashPid, pids };
}

describe('nothing is left running', () => {
  test('when the parent is killed -9', async () => {
    const { parent, pids } = await family();
    parent.kill('SIGKILL');
    expect(await untilGone(pids)).toEqual([]);
    expect(signals()).toBe('TERM\n');
    expect(existsSync(data)).toBe(false);
  });

  test('when the parent crashes', async () => {
    const { parent, pids } = await family();
    parent.kill('SIGUSR2');
    expect(await untilGone(pids)).toEqual([]);
    expect(existsSync(data)).toBe(false);
  });

  test.for(['SIGINT', 'SIGHUP'] as const)('on %s to the terminal, which only the parent gets', async (signal) => {
    const { parent, pids } = await family();
    process.kill(-parent.pid, signal);
    expect(await untilGone(pids)).toEqual([]);
    expect(signals()).toBe('TERM\n');
    expect(existsSync(data)).toBe(false);
  });

  test('when the leash is killed -9: the parent notices', async () => {
    const program = await startLeashed(noting());
    const pids = [program.pid, await forked()];
    process.kill(program.leashPid, 'SIGKILL');
    expect(await program.exited).toEqual({ code: null, signal: 'SIGKILL' });
    expect(await untilGone(pids)).toEqual([]);
    expect(existsSync(data)).toBe(false);
    await program.stop();
  });

  test.skipIf(findOnPath('setpriv', process.env.PATH) === undefined)(
    'when the leash and the parent are killed -9 together: the kernel ends the program',
    async () => {
      const { parent, leashPid, pids } = await family({
        ...noting(),
        args: ['-c', `echo 0 > ${folder.path}/forked; exec sleep 1000`],
      });
      process.kill(parent.pid, 'SIGSTOP'); // so that it cannot notice before it is killed itself
      process.kill(leashPid, 'SIGKILL');
      parent.kill('SIGKILL');
      expect(await untilGone(pids)).toEqual([]);
    },
  );
});

test('a program that ignores SIGTERM is killed after its grace', async () => {
  const program = await startLeashed({
    name: 'stubborn',
    command: 'sh',
    args: ['-c', `trap '' TERM; echo 0 > ${folder.path}/forked; while :; do sleep 1; done`],
    graceMs: 300,
  });
  await forked();
  const since = Date.now();
  await program.stop();
  expect(await program.exited).toEqual({ code: null, signal: 'SIGKILL' });
  expect(Date.now() - since).toBeGreaterThanOrEqual(290);
  expect(await untilGone([program.pid, program.leashPid])).toEqual([]);
});

test('what is fed on standard input reaches the program and stands in no command line', async () => {
  const logFile = join(folder.path, 'log');
  const program = await startLeashed({
    name: 'cat',
    command: 'sh',
    args: ['-c', 'cat; sleep 1000'],
    stdin: 'a secret',
    logFile,
  });
  await expect.poll(() => readFileSync(logFile, 'utf8')).toBe('a secret');
  if (process.platform === 'linux') {
    for (const pid of [program.pid, program.leashPid]) {
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain('secret');
    }
  }
  await program.stop();
});

test('a program that ends by itself leaves its folders until it is stopped, and its exit is told', async () => {
  const program = await startLeashed({ name: 'brief', command: 'sh', args: ['-c', 'exit 7'], cleanup: [data] });
  expect(await program.exited).toEqual({ code: 7, signal: null });
  expect(existsSync(data)).toBe(true);
  await program.stop();
  await program.stop();
  expect(existsSync(data)).toBe(false);
  expect(await untilGone([program.leashPid])).toEqual([]);
});

test('folders that are to be kept for another start are kept', async () => {
  const program = await startLeashed({ name: 'sleep', command: 'sleep', args: ['1000'], cleanup: [data] });
  await program.stop({ keepFolders: true });
  expect(existsSync(data)).toBe(true);
});

test('a program that is not there is named, and nothing is started', async () => {
  await expect(startLeashed({ name: 'redis', command: '/nowhere/redis-server' })).rejects.toMatchObject({
    code: 'PROGRAM_NOT_FOUND',
    message: expect.stringContaining('/nowhere/redis-server'),
  });
});

test.for([['folder to run in', 'cwd'] as const, ['log file', 'logFile'] as const])(
  'a %s that is not there is an error that names it, not a hang',
  async ([, option]) => {
    const nowhere = join(folder.path, 'nowhere', 'at-all');
    const starting = startLeashed({
      name: 'sleep',
      command: 'sleep',
      args: ['1000'],
      cleanup: [data],
      [option]: nowhere,
    });
    await expect(starting).rejects.toMatchObject({
      code: 'PROGRAM_NOT_STARTED',
      message: expect.stringContaining(nowhere),
    });
    await expect.poll(() => existsSync(data)).toBe(false);
  },
);
