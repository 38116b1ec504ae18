import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { foundPart, foundParts } from '../../process/found-parts.ts';
import { freePort } from '../../process/free-port.ts';
import { type LeashedProcess, startLeashed } from '../../process/leash.ts';
import { untilReady } from '../../process/until-ready.ts';
import { temporaryFolder } from './temporary-folder.ts';

export type Flavour = 'redis-7.0' | 'redis-8.2' | 'redis-6.2' | 'valkey-8' | 'valkey-9';

export interface RedisOptions {
  /** Default `redis-7.0`: the Redis that the bootstrap found for this machine. */
  readonly flavour?: Flavour;
  /** Lines of redis.conf; a list is one line for each. They win over the defaults: no save points, no AOF. */
  readonly config?: Readonly<Record<string, string | readonly string[]>>;
  /** Reaches the server on standard input, never in an argument. */
  readonly password?: string;
  /** Kept after `stop`. Without it a temporary folder, removed by `stop`. */
  readonly dir?: string;
  readonly port?: number;
  /** Also listen on a unix socket in its folder. */
  readonly unixsocket?: boolean;
  readonly timeoutMs?: number;
}

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly dir: string;
  readonly logFile: string;
  /** Of the redis-server that runs now. */
  readonly pid: number;
  readonly password?: string;
  readonly socket?: string;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  stop(): Promise<void>;
  /** SIGKILL, as the kernel's out-of-memory killer does it; its files stay. */
  kill9(): Promise<void>;
  /** Starts it again, ending it first where it still runs, with the same port, folder and configuration. */
  restart(change?: Pick<RedisOptions, 'config'>): Promise<void>;
}

const startTimeoutMs = 20_000;

/** The server program of a flavour. */
export function redisBinary(flavour: Flavour = 'redis-7.0'): string {
  return foundPart(partName(flavour)).path;
}

/** Why a flavour is not on this machine, or undefined when it is: `test.skipIf(missingFlavour('valkey-9'))`. */
export function missingFlavour(flavour: Flavour): string | undefined {
  const part = foundParts()[partName(flavour)];
  if (part === undefined) return 'the bootstrap was not asked for it';
  return 'unavailable' in part ? part.unavailable : undefined;
}

/** Starts a real server on a free loopback port, with a folder of its own; it ends with the test's process. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const own = options.dir === undefined ? await temporaryFolder('redis') : undefined;
  const dir = options.dir ?? (own?.path as string);
  await mkdir(dir, { recursive: true });
  const port = options.port ?? (await freePort());
  const socket = options.unixsocket ? join(dir, 'redis.sock') : undefined;
  const logFile = join(dir, 'redis.log');
  let config = { ...options.config };
  // By default it is 10,000 above the other, where the system takes ports from for whoever connects to somebody.
  if (config['cluster-enabled'] === 'yes' && options.flavour !== 'redis-6.2') {
    config = { 'cluster-port': String(await freePort()), ...config };
  }

  const start = async (): Promise<LeashedProcess> => {
    const program = await startLeashed({
      name: options.flavour ?? 'redis',
      command: redisBinary(options.flavour),
      args: ['-'],
      stdin: configuration({
        port: String(port),
        bind: '127.0.0.1',
        dir,
        daemonize: 'no',
        save: '""',
        appendonly: 'no',
        ...(socket === undefined ? {} : { unixsocket: socket, unixsocketperm: '700' }),
        ...(options.password === undefined ? {} : { requirepass: options.password }),
        ...config,
      }),
      cwd: dir,
      logFile,
      cleanup: own === undefined ? [] : [dir],
    });
    await untilReady(program, () => answersPing(port, options.password), {
      timeoutMs: options.timeoutMs ?? startTimeoutMs,
      logFile,
    });
    return program;
  };

  let program = await start();
  return {
    url: `redis://${options.password === undefined ? '' : `default:${options.password}@`}127.0.0.1:${port}`,
    port,
    dir,
    logFile,
    socket,
    password: options.password,
    get pid() {
      return program.pid;
    },
    get exited() {
      return program.exited;
    },
    stop: () => program.stop(),
    kill9: async () => {
      process.kill(program.pid, 'SIGKILL');
      await program.exited;
    },
    restart: async (change) => {
      await program.stop({ keepFolders: true });
      config = { ...config, ...change?.config };
      program = await start();
    },
  };
}

/** A password that needs no quoting in redis.conf or in a URL. */
export function randomPassword(): string {
  return randomBytes(18).toString('hex');
}

function partName(flavour: Flavour): string {
  return flavour === 'redis-7.0' ? 'redis' : flavour;
}

function configuration(lines: Readonly<Record<string, string | readonly string[]>>): string {
  return Object.entries(lines)
    .flatMap(([key, value]) => (typeof value === 'string' ? [value] : value).map((each) => `${key} ${each}\n`))
    .join('');
}

/** True once it answers PONG: not while it loads. */
function answersPing(port: number, password: string | undefined): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect({ port, host: '127.0.0.1' });
    let answer = '';
    const done = (ready: boolean) => {
      socket.destroy();
      settle(ready);
    };
    socket.setTimeout(1_000, () => done(false));
    socket.once('error', () => done(false));
    socket.once('close', () => done(false));
    socket.on('data', (bytes) => {
      answer += bytes.toString('latin1');
      // An ACL that the test set up may refuse PING: also an answer that only a ready server gives.
      if (/\+PONG\r\n|-NOAUTH|-NOPERM|-WRONGPASS/.test(answer.replace(/^\+OK\r\n/, ''))) done(true);
      else if (answer.includes('-LOADING') || answer.includes('-MASTERDOWN')) done(false);
    });
    socket.write(`${password === undefined ? '' : `AUTH ${password}\r\n`}PING\r\n`);
  });
}
