import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { RewindError } from '../../errors/rewind-error.ts';
import { askLoadState } from '../../host/loading-progress.ts';
import { lastLogLines, reasonIn } from '../../host/log-words.ts';
import { freePort } from '../../process/free-port.ts';
import { isAlive, processIdentity } from '../../process/process-identity.ts';
import { siblingScript } from '../../process/sibling-script.ts';
import type { StepIO } from '../../process/step-io.ts';
import { addressOf, type RedisTarget, withRedis } from '../../redis/connection.ts';
import { infoNumber, keysOf, readInfo } from '../../redis/info.ts';
import type { SandboxServer } from '../../sandbox/servers.ts';
import { readJournal } from '../journal.ts';
import { needRoom } from './durable-files.ts';
import type { KeeperOrder, SandboxRecord } from './sandbox-record.ts';

export interface SandboxRequest {
  /** Names it; a backup's id or a run's. One that runs under it is taken as it is. */
  readonly id: string;
  /** A dump, or a folder that a moment of the archive was laid down in: it is moved. */
  readonly dumpPath: string;
  /** True for such a folder. */
  readonly fromAof?: boolean;
  readonly server: SandboxServer;
  /** The state folder of the role that runs it. */
  readonly home: string;
  /** Databases that the dump speaks of, from 1; a server with fewer ends itself. */
  readonly databases: number;
  /** It is ended when it uses more, in bytes. */
  readonly maxMemoryBytes: number;
  /** Milliseconds that it stays up. Default 1 hour. */
  readonly forMs?: number;
}

/** A server with the backup's data that stays up. No secret in it: the password is read from its file. */
export interface StartedSandbox {
  readonly id: string;
  /** `redis://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  /** On the machine of the sandbox, readable for the role's user only. */
  readonly passwordFile: string;
  readonly server: { readonly name: string; readonly version: string };
  /** ISO 8601. */
  readonly endsAt: string;
  readonly keys: number;
  readonly loadMs?: number;
}

interface Keeper {
  readonly pid: number;
  readonly identity: string | undefined;
}

const hour = 3_600_000;
const pollMs = 50;
const endPatienceMs = 30_000;

const folderOf = (home: string, id: string): string =>
  join(home, 'sandboxes', createHash('sha256').update(id).digest('hex').slice(0, 16));
const recordIn = (folder: string): string => join(folder, 'sandbox.json');
const passwordIn = (folder: string): string => join(folder, 'password');

/**
 * Starts a server on a dump and leaves it running: on loopback, with a random password, no persistence of its own. It ends
 * by itself at its time, even where nobody is left to end it: a small process of ours, its keeper, is its parent; when the
 * keeper is killed, the kernel ends the server (on Linux), and the next sweep does elsewhere.
 *
 * @throws RESTORED_SANDBOX_REFUSED, DISK_FULL
 */
export async function startSandbox(request: SandboxRequest, io: StepIO): Promise<StartedSandbox> {
  const { home, id } = request;
  await sweepSandboxes(home);
  const running = (await listSandboxes(home)).find((each) => each.id === id);
  if (running !== undefined) return running;
  const folder = folderOf(home, id);
  // A starter that was killed while it loaded has left it running.
  await endSandbox(folder);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const since = performance.now();
  let keeper: Keeper | undefined;
  try {
    if (request.fromAof) await takeLaidDown(request.dumpPath, folder);
    else await takeDump(request.dumpPath, join(folder, 'dump.rdb'), folder);
    const password = randomBytes(24).toString('base64url');
    await writeFile(passwordIn(folder), `${password}\n`, { mode: 0o600 });
    const port = await freePort();
    const endsAt = new Date(Date.now() + (request.forMs ?? hour)).toISOString();
    keeper = await startKeeper({ request, folder, port, endsAt });
    const target = { url: `redis://127.0.0.1:${port}`, password };
    const keys = await untilLoaded(target, request, folder, keeper, io);
    const loadMs = Math.round(performance.now() - since);
    await writeFile(join(folder, 'loaded.json'), JSON.stringify({ keys, loadMs }), { mode: 0o600 });
    const record = await readJournal<SandboxRecord>(recordIn(folder));
    if (!record) throw ended('it ended right after it had loaded');
    return describe(folder, record, { keys, loadMs });
  } catch (error) {
    // It may not have written its record yet.
    if (keeper) await endProcess(keeper.pid, keeper.identity);
    await endSandbox(folder);
    throw error;
  }
}

/** The ones that run now. */
export async function listSandboxes(home: string): Promise<StartedSandbox[]> {
  const found: StartedSandbox[] = [];
  for (const folder of await foldersIn(home)) {
    const record = await readJournal<SandboxRecord>(recordIn(folder)).catch(() => undefined);
    const loaded = await readJournal<{ keys: number; loadMs: number }>(join(folder, 'loaded.json')).catch(
      () => undefined,
    );
    if (record && loaded && isAlive(record.serverPid, record.serverIdentity))
      found.push(describe(folder, record, loaded));
  }
  return found;
}

/** How to log in to one that runs: for steps of ours on the same machine, never for a result. */
export async function sandboxTarget(home: string, id: string): Promise<RedisTarget | undefined> {
  const running = (await listSandboxes(home)).find((each) => each.id === id);
  if (!running) return undefined;
  return { url: running.url, password: (await readFile(running.passwordFile, 'utf8')).trim() };
}

/** Ends one, from whatever process; false where there is none. All of it is gone when this returns. */
export async function stopSandbox(home: string, id: string): Promise<boolean> {
  const folder = folderOf(home, id);
  if (!(await stat(folder).catch(() => undefined))) return false;
  await endSandbox(folder);
  return true;
}

/**
 * Ends those past their time and removes what killed ones left: to be called when a sandbox worker starts.
 *
 * @returns ids of those that were ended or removed
 */
export async function sweepSandboxes(home: string): Promise<string[]> {
  const swept: string[] = [];
  for (const folder of await foldersIn(home)) {
    const record = await readJournal<SandboxRecord>(recordIn(folder)).catch(() => undefined);
    const isKept = record !== undefined && isAlive(record.keeperPid, record.keeperIdentity);
    const isOver = record !== undefined && Date.parse(record.endsAt) < Date.now();
    // One without a record is being made; its maker removes it when it fails, and a killed maker's is old.
    const isFresh = record === undefined && (await ageMs(folder)) < hour;
    if (isFresh || (isKept && !isOver)) continue;
    await endSandbox(folder);
    swept.push(record?.id ?? folder);
  }
  return swept;
}

async function foldersIn(home: string): Promise<string[]> {
  const root = join(home, 'sandboxes');
  return (await readdir(root).catch(() => [] as string[])).map((name) => join(root, name));
}

const ageMs = async (path: string): Promise<number> =>
  Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? 0);

/** Another name for the same bytes where that can be: the server never writes to the file that it has loaded. */
async function takeDump(from: string, to: string, folder: string): Promise<void> {
  const linked = await link(from, to).then(
    () => true,
    () => false,
  );
  if (linked) return;
  const { size } = await stat(from);
  await needRoom(folder, size);
  await copyFile(from, to);
}

/** Into the sandbox's folder, in the same file system: the role's own. */
async function takeLaidDown(from: string, folder: string): Promise<void> {
  for (const name of await readdir(from)) {
    if (!name.startsWith('.')) await rename(join(from, name), join(folder, name));
  }
}

async function startKeeper(start: {
  request: SandboxRequest;
  folder: string;
  port: number;
  endsAt: string;
}): Promise<Keeper> {
  const { request, folder, port, endsAt } = start;
  const order: KeeperOrder = {
    id: request.id,
    folder,
    port,
    endsAt,
    command: request.server.path,
    databases: Math.max(16, request.databases),
    ...(request.fromAof ? { config: ['appendonly yes', 'aof-load-truncated no'] } : {}),
    server: { name: request.server.name, version: request.server.version },
  };
  // The folder is 0700 and the order holds no secret; the keeper reads the password from its file.
  await writeFile(join(folder, 'order.json'), JSON.stringify(order), { mode: 0o600 });
  const log = openSync(join(folder, 'keeper.log'), 'a', 0o600);
  const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, NODE_CHANNEL_FD: _channel, ...env } = process.env;
  const keeper = spawn(
    process.execPath,
    [fileURLToPath(siblingScript(import.meta.url, './sandbox-keeper-main')), folder],
    {
      detached: true,
      cwd: '/',
      env,
      stdio: ['ignore', log, log],
    },
  );
  closeSync(log);
  await new Promise<void>((settle, fail) => {
    keeper.once('spawn', settle);
    keeper.once('error', (cause) => fail(new RewindError('PROGRAM_NOT_STARTED', `sandbox keeper: ${cause.message}`)));
  });
  keeper.unref();
  const pid = keeper.pid as number;
  return { pid, identity: processIdentity(pid) };
}

async function untilLoaded(
  target: RedisTarget,
  { maxMemoryBytes, fromAof }: SandboxRequest,
  folder: string,
  keeper: Keeper,
  io: StepIO,
): Promise<number> {
  for (;;) {
    io.signal.throwIfAborted();
    const load = await askLoadState(target);
    if (load.state === 'loaded') {
      return withRedis(target, async (redis) => {
        const info = await readInfo(redis, 'everything');
        const used = infoNumber(info, 'used_memory') ?? 0;
        if (used > maxMemoryBytes) throw ended(`it uses ${used} bytes of memory; it may use ${maxMemoryBytes}`);
        // Of an append-only file that counts its base only.
        return (fromAof ? undefined : infoNumber(info, 'rdb_last_load_keys_loaded')) ?? keysOf(info);
      });
    }
    if (load.state === 'loading') {
      io.onProgress({ phase: 'load', done: load.loadedBytes, total: load.totalBytes, unit: 'bytes' });
      if (load.usedMemoryBytes > maxMemoryBytes) {
        throw ended(`the load was ended at ${load.usedMemoryBytes} bytes of memory; it may use ${maxMemoryBytes}`);
      }
    }
    if (keeper.identity === undefined || !isAlive(keeper.pid, keeper.identity)) {
      const words = reasonIn(await lastLogLines(join(folder, 'redis.log'), 20));
      throw ended(words ?? `it never answered at ${addressOf(target)}`);
    }
    await sleep(pollMs, undefined, { signal: io.signal });
  }
}

const ended = (why: string): RewindError =>
  new RewindError('RESTORED_SANDBOX_REFUSED', `The sandbox’s server does not stay up with this dump: ${why}.`);

/** The keeper ends its server and removes the folder; where it does not, this does. */
async function endSandbox(folder: string): Promise<void> {
  const record = await readJournal<SandboxRecord>(recordIn(folder)).catch(() => undefined);
  if (record) {
    await endProcess(record.keeperPid, record.keeperIdentity);
    await endProcess(record.serverPid, record.serverIdentity);
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** SIGTERM, SIGKILL when that takes too long; nothing where that process runs no more. */
async function endProcess(pid: number, identity: string | undefined): Promise<void> {
  if (identity === undefined || !isAlive(pid, identity)) return;
  process.kill(pid, 'SIGTERM');
  for (const deadline = performance.now() + endPatienceMs; isAlive(pid, identity); await sleep(pollMs)) {
    if (performance.now() > deadline) process.kill(pid, 'SIGKILL');
  }
}

function describe(folder: string, record: SandboxRecord, loaded: { keys: number; loadMs: number }): StartedSandbox {
  return {
    id: record.id,
    url: `redis://127.0.0.1:${record.port}`,
    port: record.port,
    passwordFile: passwordIn(folder),
    server: record.server,
    endsAt: record.endsAt,
    ...loaded,
  };
}
