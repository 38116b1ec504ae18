// The leash: a process of its own between a parent and one program. It outlives a parent that is killed -9 just long enough
// to end the program in order and to remove what it left.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';
import type { FromLeash, LeashedProgram, ToLeash } from './leash-messages.ts';
import { processIdentity } from './process-identity.ts';
import { findOnPath } from './program-path.ts';

let program: ChildProcess | undefined;
let spec: LeashedProgram | undefined;
let stopping = false;
let ended = false;
let keepFolders = false;

process.on('message', (message: ToLeash) => {
  if (message.type === 'start') {
    try {
      start(message.program);
    } catch (error) {
      tell({ type: 'failed', reason: (error as Error).message }); // a log file that cannot be opened, an argument that is none
      finish();
    }
  } else {
    keepFolders = message.keepFolders;
    stop();
  }
});
// The channel closes when the parent is gone, however it went: that is the whole point of this process.
process.on('disconnect', stop);
// A terminal's Ctrl-C and hang-up are the parent's to answer; it ends its programs in its own order.
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});
process.on('SIGTERM', stop);

function start(wanted: LeashedProgram): void {
  spec = wanted;
  const output = wanted.logFile === undefined ? undefined : openSync(wanted.logFile, 'a', 0o600);
  // Killed -9, the leash cannot end anything: on Linux the kernel does it (prctl PR_SET_PDEATHSIG, by util-linux' setpriv).
  // Elsewhere the parent notices that the leash is gone and kills the program; only if both are killed at once it stays.
  const setpriv = process.platform === 'linux' ? findOnPath('setpriv', process.env.PATH) : undefined;
  const [command, args] =
    setpriv === undefined
      ? [wanted.command, wanted.args]
      : [setpriv, ['--pdeathsig', 'KILL', '--', wanted.command, ...wanted.args]];
  const child = spawn(command, args, {
    cwd: wanted.cwd,
    env: wanted.env,
    detached: true, // a process group of its own, so that what the program forks is ended with it
    stdio: [wanted.stdin === undefined ? 'ignore' : 'pipe', output ?? 'ignore', output ?? 'ignore'],
  });
  program = child;
  if (output !== undefined) closeSync(output);
  child.once('error', (error) => {
    tell({ type: 'failed', reason: error.message });
    finish();
  });
  child.once('spawn', () => {
    const pid = child.pid as number;
    tell({ type: 'started', pid, identity: processIdentity(pid) });
    if (wanted.stdin !== undefined) {
      child.stdin?.on('error', () => {}); // a program that ends without reading says why by its exit, not by EPIPE here
      child.stdin?.end(Buffer.from(wanted.stdin, 'base64'));
    }
    if (stopping) endProgram();
  });
  child.once('exit', (code, signal) => {
    killGroup(child.pid);
    tell({ type: 'ended', code, signal });
    ended = true;
    // Without a stop its folders are still wanted: the parent reads its log there, or starts it again on them.
    if (stopping) finish();
  });
}

function stop(): void {
  if (stopping) return;
  stopping = true;
  if (program === undefined || ended) finish();
  else if (program.pid !== undefined) endProgram();
}

function endProgram(): void {
  program?.kill('SIGTERM');
  setTimeout(() => killGroup(program?.pid), spec?.graceMs).unref();
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: the whole group has ended already.
  }
}

function tell(message: FromLeash): void {
  if (process.connected) process.send?.(message, () => {});
}

function finish(): void {
  for (const folder of keepFolders ? [] : (spec?.cleanup ?? [])) {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
  if (process.connected) process.disconnect();
  process.removeAllListeners('message');
  // Exit by an empty event loop, so that the last message is on its way; a stray handle may not hold it up.
  setTimeout(() => process.exit(0), 1000).unref();
}
