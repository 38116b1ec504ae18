import { type ChildProcess, fork } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { siblingScript } from '../process/sibling-script.ts';
import type { Role } from '../workers/role.ts';

export interface WorkerProcess {
  readonly role: Role;
  readonly ended: Promise<number | null>;
  stop(): Promise<void>;
}

/** How long a worker may take to let go of its steps, in milliseconds. */
const GRACE_MS = 15_000;

/**
 * Starts one role as a process of its own in a folder of its own, as in a real deployment. It ends by itself when this
 * process does (workers watch the channel to their parent).
 *
 * @returns when the worker polls
 */
export async function startWorkerProcess(
  role: Role,
  options: { home: string; args: readonly string[]; env: NodeJS.ProcessEnv },
): Promise<WorkerProcess> {
  const home = join(options.home, role);
  await mkdir(home, { recursive: true, mode: 0o700 });
  const child = fork(
    fileURLToPath(siblingScript(import.meta.url, './main')),
    ['worker', '--role', role, ...options.args],
    {
      cwd: home,
      env: { ...options.env, REWIND_HOME: options.home },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: [],
      detached: true, // Ctrl-C reaches the parent only, which ends the roles in order
    },
  );
  const log = createWriteStream(join(options.home, `${role}.log`), { flags: 'a', mode: 0o600 });
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  await Promise.race([
    polls(child),
    ended.then((code) => {
      throw new Error(`the ${role} worker ended with ${code}; its log is ${join(options.home, `${role}.log`)}`);
    }),
  ]);
  return { role, ended, stop: () => stopChild(child, ended) };
}

function polls(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.on('message', (message) => message === 'polling' && resolve()));
}

async function stopChild(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  child.kill('SIGTERM');
  const overdue = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  await ended;
  clearTimeout(overdue);
}
