// The keeper of one sandbox: a process of its own session, the parent of its server. It ends the server at its time, or when
// it is told to (SIGTERM), and removes the folder; whoever started it may be gone long since. Argument: the folder.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processIdentity } from '../../process/process-identity.ts';
import { findOnPath } from '../../process/program-path.ts';
import type { KeeperOrder, SandboxRecord } from './sandbox-record.ts';

const graceMs = 5_000;
const lookEveryMs = 2_000;

const folder = process.argv[2] as string;
const order = JSON.parse(readFileSync(join(folder, 'order.json'), 'utf8')) as KeeperOrder;
const password = readFileSync(join(folder, 'password'), 'utf8').trim();

const output = openSync(join(folder, 'redis.log'), 'a', 0o600);
// Killed -9, the keeper cannot end anything: the kernel does it then (prctl PR_SET_PDEATHSIG, by util-linux' setpriv).
const setpriv = process.platform === 'linux' ? findOnPath('setpriv', process.env.PATH) : undefined;
const [command, args] =
  setpriv === undefined ? [order.command, ['-']] : [setpriv, ['--pdeathsig', 'KILL', '--', order.command, '-']];
const server = spawn(command, args, { cwd: folder, stdio: ['pipe', output, output], detached: true });
closeSync(output);

let isTold = false;
server.once('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
server.once('spawn', () => {
  const record: SandboxRecord = {
    id: order.id,
    port: order.port,
    endsAt: order.endsAt,
    server: order.server,
    keeperPid: process.pid,
    keeperIdentity: processIdentity(process.pid),
    serverPid: server.pid as number,
    serverIdentity: processIdentity(server.pid as number),
  };
  writeFileSync(join(folder, 'sandbox.json.part'), JSON.stringify(record), { mode: 0o600 });
  renameSync(join(folder, 'sandbox.json.part'), join(folder, 'sandbox.json'));
  server.stdin?.on('error', () => undefined);
  server.stdin?.end(
    [
      `port ${order.port}`,
      'bind 127.0.0.1',
      `requirepass ${password}`,
      `dir "${folder}"`,
      'dbfilename dump.rdb',
      'save ""',
      'appendonly no',
      'daemonize no',
      `databases ${order.databases}`,
      ...(order.config ?? []),
      '',
    ].join('\n'),
  );
  if (isTold) end();
  else waitForItsTime();
});
server.once('exit', () => {
  // Ended by itself, it leaves its log: why it would not load is read from it.
  if (isTold) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  process.exit(0);
});
process.on('SIGTERM', end);
process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);

/** A state folder that is taken away takes its sandboxes with it: nobody could name or stop them any more. */
function waitForItsTime(): void {
  const left = Date.parse(order.endsAt) - Date.now();
  if (left <= 0 || !existsSync(folder)) end();
  else setTimeout(waitForItsTime, Math.min(left, lookEveryMs));
}

function end(): void {
  isTold = true;
  if (server.pid === undefined) return; // not spawned yet: it looks at isTold then
  server.kill('SIGTERM');
  setTimeout(() => server.kill('SIGKILL'), graceMs).unref();
}
