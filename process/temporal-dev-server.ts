import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';
import { type LeashedProcess, startLeashed } from './leash.ts';
import { untilReady } from './until-ready.ts';

export interface TemporalDevServerOptions {
  /** The `temporal` program. */
  readonly executable: string;
  /** Holds its SQLite file and its log; made when it is not there. */
  readonly folder: string;
  /** Free ones unless given; all of them on 127.0.0.1. */
  readonly port?: number;
  readonly uiPort?: number;
  /** Without the web interface. */
  readonly headless?: boolean;
  /** Folders removed when it stops, or when this process is gone. */
  readonly cleanup?: readonly string[];
  readonly timeoutMs?: number;
}

export interface TemporalDevServer {
  /** host:port of the frontend. */
  readonly address: string;
  readonly namespace: string;
  /** Address of the web interface; absent when headless. */
  readonly uiUrl?: string;
  readonly program: LeashedProcess;
  stop(options?: { keepFolders?: boolean }): Promise<void>;
}

const host = '127.0.0.1';
const namespace = 'default';
// The dev server keeps closed workflows for a day: an incident's history would be gone the next morning.
const retention = '2160h';
const defaultTimeoutMs = 60_000;
const execute = promisify(execFile);

/**
 * Starts a real Temporal server of one process: SQLite file, web interface, loopback only, closed workflows kept for 90 days. It ends with
 * this process.
 *
 * @throws RewindError PROGRAM_NOT_FOUND, PROGRAM_NOT_STARTED
 */
export async function startTemporalDevServer(options: TemporalDevServerOptions): Promise<TemporalDevServer> {
  await mkdir(options.folder, { recursive: true });
  const port = options.port ?? (await freePort());
  const uiPort = options.headless ? undefined : (options.uiPort ?? (await freePort()));
  const address = `${host}:${port}`;
  const logFile = join(options.folder, 'temporal.log');
  const ports = [
    '--port',
    String(port),
    '--http-port',
    String(await freePort()),
    '--metrics-port',
    String(await freePort()),
  ];
  const ui = uiPort === undefined ? ['--headless'] : ['--ui-port', String(uiPort)];
  const database = ['--db-filename', join(options.folder, 'temporal.sqlite')];
  const program = await startLeashed({
    name: 'temporal',
    command: options.executable,
    args: ['server', 'start-dev', '--ip', host, ...ports, ...ui, ...database, '--log-level', 'warn'],
    cwd: options.folder,
    env: environment(),
    logFile,
    cleanup: options.cleanup,
  });
  const deadline = { timeoutMs: options.timeoutMs ?? defaultTimeoutMs, logFile };
  await untilReady(program, () => accepts(port), deadline);
  // The port is open before the namespace is there; this succeeds only once it is.
  await untilReady(program, () => setRetention(options.executable, address), deadline);
  return {
    address,
    namespace,
    uiUrl: uiPort === undefined ? undefined : `http://${host}:${uiPort}`,
    program,
    stop: (how) => program.stop(how),
  };
}

async function setRetention(executable: string, address: string): Promise<boolean> {
  const args = ['operator', 'namespace', 'update', '--namespace', namespace, '--retention', retention];
  await execute(executable, [...args, '--address', address], { env: environment(), timeout: 10_000 });
  return true;
}

/** TEMPORAL_* of the person's own shell (address, profile, API key) point elsewhere and must not reach this server or its command line. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('TEMPORAL_'));
  return { ...Object.fromEntries(own), TEMPORAL_CONFIG_FILE: '/dev/null' };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect({ port, host });
    socket.once('connect', () => {
      socket.destroy();
      settle(true);
    });
    socket.once('error', () => settle(false));
  });
}
