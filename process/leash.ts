import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { RewindError } from '../errors/rewind-error.ts';
import type { FromLeash, ToLeash } from './leash-messages.ts';
import { isAlive } from './process-identity.ts';
import { findOnPath } from './program-path.ts';
import { siblingScript } from './sibling-script.ts';

export interface LeashedSpec {
  /** For messages: "redis", "temporal". */
  readonly name: string;
  /** A path, or a name that is looked for on PATH. */
  readonly command: string;
  /** No secret: arguments can be read by everybody on the machine. Use `env` or `stdin`. */
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** The program's whole environment, as in `child_process.spawn`; without it this process' own. */
  readonly env?: NodeJS.ProcessEnv;
  /** Fed once to the program's standard input, which is then closed: a configuration with a password in it. */
  readonly stdin?: string | Buffer;
  /** Standard output and error are appended here (mode 0600); without it they are dropped. */
  readonly logFile?: string;
  /**
   * Folders that are removed by `stop`, or when this process is gone. A program that ends by itself leaves them until then: its
   * log can be read, it can be started again on them.
   */
  readonly cleanup?: readonly string[];
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly graceMs?: number;
}

export interface LeashedExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface LeashedProcess {
  readonly name: string;
  /** Of the program itself, not of its leash. */
  readonly pid: number;
  readonly leashPid: number;
  /** Settles when the program has ended; never rejects. */
  readonly exited: Promise<LeashedExit>;
  /**
   * SIGTERM, SIGKILL after `graceMs`, folders removed unless they are to be kept for another start. Returns when all of it is done;
   * may be called twice, and after the program has ended by itself.
   */
  stop(options?: { keepFolders?: boolean }): Promise<void>;
}

/** Long enough for a Redis to write its last dump, short enough for a person at a terminal. */
const defaultGraceMs = 10_000;
/** What a leash may need beyond the program's own grace before it is itself killed. */
const leashMarginMs = 5_000;

/**
 * Starts a program that ends with this process, whatever happens to it: return, crash, SIGKILL, closed terminal. A small leash
 * process stands between and holds a channel to this one; when it closes, the leash ends the program (SIGTERM, then SIGKILL to its
 * process group) and removes its folders. Ctrl-C in a terminal reaches only this process, which stops its programs in order.
 *
 * @throws RewindError PROGRAM_NOT_FOUND when there is no such program, PROGRAM_NOT_STARTED when it could not be executed;
 *   the folders of `cleanup` are then removed
 */
export async function startLeashed(spec: LeashedSpec): Promise<LeashedProcess> {
  const env = definedOnly(spec.env ?? process.env);
  const cwd = spec.cwd ?? process.cwd();
  const cleanup = (spec.cleanup ?? []).map((folder) => resolve(folder));
  const graceMs = spec.graceMs ?? defaultGraceMs;
  const command = findOnPath(spec.command, env.PATH ?? process.env.PATH);
  if (command === undefined || !existsSync(cwd)) {
    await removeAll(cleanup);
    throw command === undefined
      ? new RewindError('PROGRAM_NOT_FOUND', `${spec.name}: no program ${spec.command} that may be executed`)
      : new RewindError('PROGRAM_NOT_STARTED', `${spec.name}: there is no folder ${cwd} to run it in`);
  }

  const leash = fork(fileURLToPath(siblingScript(import.meta.url, './leash-main')), [], {
    detached: true, // its own session: a signal from the terminal goes to the parent only
    execArgv: [],
    env: leashEnvironment(),
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    cwd: '/',
  });
  leash.on('error', () => {}); // a failed send shows as the leash's exit, which is handled

  let started: { pid: number; identity: string | undefined } | undefined;
  let onEnd: (exit: LeashedExit) => void = () => {};
  const exited = new Promise<LeashedExit>((settle) => {
    onEnd = settle;
  });
  let orderly = false;
  const leashGone = new Promise<void>((settle) => leash.once('exit', () => settle()));
  const ready = new Promise<{ pid: number; identity: string | undefined }>((settle, fail) => {
    leash.on('message', (message: FromLeash) => {
      if (message.type === 'started') settle((started = message));
      else if (message.type === 'failed')
        fail(new RewindError('PROGRAM_NOT_STARTED', `${spec.name}: ${message.reason}`));
      else {
        orderly = true;
        onEnd({ code: message.code, signal: message.signal });
        // What is left is only the leash, holding the folders: no reason to keep this process up.
        leash.unref();
        leash.channel?.unref();
      }
    });
    leashGone.then(() => fail(new RewindError('PROGRAM_NOT_STARTED', `${spec.name}: its leash process ended at once`)));
  });
  let keepFolders = false;
  const allDone = leashGone.then(async () => {
    if (orderly) return;
    // The leash itself was killed: what it would have done falls to this process.
    if (started !== undefined) await killGroup(started.pid, started.identity);
    if (!keepFolders) await removeAll(cleanup);
    onEnd({ code: null, signal: 'SIGKILL' });
  });

  send(leash, {
    type: 'start',
    program: {
      command,
      args: spec.args ?? [],
      cwd,
      env,
      stdin: spec.stdin === undefined ? undefined : Buffer.from(spec.stdin).toString('base64'),
      logFile: spec.logFile === undefined ? undefined : resolve(spec.logFile),
      cleanup,
      graceMs,
    },
  });
  const { pid } = await ready;

  let stopped: Promise<void> | undefined;
  const stop = async (keep: boolean) => {
    keepFolders = keep;
    leash.ref();
    send(leash, { type: 'stop', keepFolders: keep });
    const overdue = setTimeout(() => leash.kill('SIGKILL'), graceMs + leashMarginMs);
    await allDone;
    clearTimeout(overdue);
    if (!keep) await removeAll(cleanup); // the leash has done it, unless it was killed itself
  };
  return {
    name: spec.name,
    pid,
    leashPid: leash.pid as number,
    exited,
    stop: (options = {}) => (stopped ??= stop(options.keepFolders ?? false)),
  };
}

function send(leash: ChildProcess, message: ToLeash): void {
  if (leash.connected) leash.send(message, () => {});
}

async function killGroup(pid: number, identity: string | undefined): Promise<void> {
  try {
    // The program itself may be gone already (the kernel ends it with its leash); what it forked is not.
    process.kill(-pid, 'SIGKILL');
  } catch {
    return; // ESRCH: nobody is left in the group
  }
  while (isAlive(pid, identity)) await sleep(20);
}

async function removeAll(folders: readonly string[]): Promise<void> {
  for (const folder of folders) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** The leash is plain Node: options meant for this process (an inspector, a test runner's loader) are not for it. */
function leashEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, ...rest } = process.env;
  return rest;
}

function definedOnly(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
