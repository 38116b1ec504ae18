import { randomBytes } from 'node:crypto';
import { constants, copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import { startLeashed } from '../../process/leash.ts';
import type { StepIO } from '../../process/step-io.ts';
import { infoNumber } from '../../redis/info.ts';
import { awaitLoad, type LoadEnd } from '../../sandbox/await-load.ts';
import type { SandboxServer } from '../../sandbox/servers.ts';
import { makeWorkFolder } from '../../sandbox/work-folder.ts';
import type { BuiltChoice } from './build-choice.ts';
import type { PersistenceSettings } from './settings.ts';

export interface LoadFilesLimits {
  /** The server is ended when it uses more, in bytes. */
  readonly maxMemoryBytes: number;
  /** As the instance's configuration; default 16. */
  readonly databases?: number;
}

/** What a real server holds that has loaded the files. */
export interface LoadedFiles {
  readonly loadMs: number;
  readonly keysByDatabase: Readonly<Record<string, number>>;
  readonly keys: number;
  /** Dropped at the load because they had expired; undefined where the server does not count them (before 7.0). */
  readonly keysExpired?: number;
  /** Keys that came from a dump, by the server's own count; undefined before 7.0. */
  readonly keysFromDump?: number;
}

export type LoadFilesResult =
  | { readonly outcome: 'loaded'; readonly redis: Redis; readonly loaded: LoadedFiles }
  | { readonly outcome: 'refused'; readonly reason: string }
  | { readonly outcome: 'too-large'; readonly usedBytes: number };

/**
 * Starts a server of our own on a throw-away copy of files, with the settings that the instance has: a server with an
 * append-only file writes to it. It is told to refuse what is cut off and to look into every value. Nobody else can reach
 * it; it and the copy are gone afterwards, however this process ends.
 *
 * @param workRoot where the copy goes: room for the files is needed
 * @throws DISK_FULL, SANDBOX_SERVER_ENDED
 */
export async function withLoadedFiles<T>(
  server: SandboxServer,
  built: Pick<BuiltChoice, 'dir' | 'files'>,
  settings: PersistenceSettings,
  limits: LoadFilesLimits & { readonly workRoot: string },
  io: StepIO,
  use: (result: LoadFilesResult) => Promise<T>,
): Promise<T> {
  const bytes = built.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const folder = await makeWorkFolder(limits.workRoot, randomBytes(4).toString('hex'), bytes);
  const socketFolder = await mkdtemp(join(tmpdir(), 'rewind-files-'));
  const socket = join(socketFolder, 'redis.sock');
  const logFile = `${folder}.log`;
  const password = randomBytes(24).toString('base64url');
  let end: LoadEnd | undefined;
  let stop = async () => {
    await rm(folder, { recursive: true, force: true });
    await rm(socketFolder, { recursive: true, force: true });
  };
  try {
    for (const { path } of built.files) {
      await mkdir(dirname(join(folder, path)), { recursive: true, mode: 0o700 });
      await copyFile(join(built.dir, path), join(folder, path), constants.COPYFILE_FICLONE);
    }
    const startedAt = performance.now();
    const started = await startLeashed({
      name: `sandbox ${server.name}`,
      command: server.path,
      args: ['-'],
      cwd: folder,
      logFile,
      cleanup: [socketFolder, folder],
      graceMs: 2_000,
      stdin: configuration(folder, socket, password, settings, limits, server),
    });
    stop = () => started.stop();
    const { maxMemoryBytes } = limits;
    end = await awaitLoad(
      { process: started, socket, password, logFile, maxMemoryBytes },
      {
        signal: io.signal,
        onProgress: (done, total) => io.onProgress({ phase: 'load', done, total, unit: 'bytes' }),
      },
    );
    if (end.outcome !== 'loaded') return await use(end);
    const loadMs = Math.round(performance.now() - startedAt);
    return await use({ outcome: 'loaded', redis: end.redis, loaded: { loadMs, ...counted(end.info) } });
  } finally {
    if (end?.outcome === 'loaded') end.redis.disconnect();
    await stop();
    await rm(logFile, { force: true });
  }
}

/**
 * Proves files that were made: a real server loads them, and of a dump alone it holds the keys that were counted, but for
 * those that have expired.
 *
 * @throws CORRUPTION_CHOICE_REFUSED; DISK_FULL, SANDBOX_SERVER_ENDED
 */
export function proveBuilt(
  server: SandboxServer,
  built: BuiltChoice,
  settings: PersistenceSettings,
  limits: LoadFilesLimits & { readonly workRoot: string },
  io: StepIO,
): Promise<LoadedFiles> {
  return withLoadedFiles(server, built, settings, limits, io, async (result) => {
    const what = `${server.name} ${server.version}`;
    if (result.outcome === 'refused') throw refused(`${what} does not load what was made: ${result.reason}`);
    if (result.outcome === 'too-large') {
      throw refused(`the load took ${result.usedBytes} bytes of memory; the sandbox may use ${limits.maxMemoryBytes}`);
    }
    const { loaded } = result;
    if (built.keysByDatabase !== undefined) {
      const expected = Object.values(built.keysByDatabase).reduce((sum, keys) => sum + keys, 0);
      // Before 7.0 servers do not count what they drop: then fewer may have expired.
      const agrees =
        loaded.keysExpired === undefined || loaded.keysFromDump === undefined
          ? loaded.keys <= expected
          : loaded.keysFromDump + loaded.keysExpired === expected;
      if (!agrees)
        throw refused(
          `${expected} keys were counted in what was made, ${what} loaded ${loaded.keysFromDump ?? loaded.keys}`,
        );
    }
    return loaded;
  });
}

function configuration(
  folder: string,
  socket: string,
  password: string,
  settings: PersistenceSettings,
  limits: LoadFilesLimits,
  server: SandboxServer,
): string {
  const major = Number(server.version.split('.')[0]);
  return [
    'port 0',
    `unixsocket ${socket}`,
    'unixsocketperm 700',
    `requirepass ${password}`,
    `dir ${quoted(folder)}`,
    `dbfilename ${quoted(settings.dbfilename)}`,
    `appendonly ${settings.appendonly ? 'yes' : 'no'}`,
    `appendfilename ${quoted(settings.appendfilename)}`,
    ...(server.name === 'valkey' || major >= 7 ? [`appenddirname ${quoted(settings.appenddirname)}`] : []),
    'aof-load-truncated no',
    'auto-aof-rewrite-percentage 0',
    'sanitize-dump-payload yes',
    'appendfsync no',
    'save ""',
    'daemonize no',
    `databases ${Math.max(16, limits.databases ?? 16)}`,
    '',
  ].join('\n');
}

const quoted = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')}"`;

function counted(info: Readonly<Record<string, string>>): Omit<LoadedFiles, 'loadMs'> {
  const keysByDatabase: Record<string, number> = {};
  for (const [field, value] of Object.entries(info)) {
    const db = /^db(\d+)$/.exec(field)?.[1];
    if (db !== undefined) keysByDatabase[db] = Number(/keys=(\d+)/.exec(value)?.[1] ?? 0);
  }
  const keys = Object.values(keysByDatabase).reduce((sum, each) => sum + each, 0);
  const keysExpired = infoNumber(info, 'rdb_last_load_keys_expired');
  const keysFromDump = infoNumber(info, 'rdb_last_load_keys_loaded');
  return {
    keysByDatabase,
    keys,
    ...(keysExpired === undefined ? {} : { keysExpired }),
    ...(keysFromDump === undefined ? {} : { keysFromDump }),
  };
}

const refused = (message: string) => new RewindError('CORRUPTION_CHOICE_REFUSED', `${message}.`);
