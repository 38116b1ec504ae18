import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Redis } from 'ioredis';
import { startLeashed } from '../process/leash.ts';
import { infoNumber, keysOf } from '../redis/info.ts';
import { awaitLoad, type LoadEnd } from './await-load.ts';
import type { SandboxServer } from './servers.ts';
import { isWorkFolder } from './work-folder.ts';

export interface LoadLimits {
  /** The server is ended when it uses more, in bytes. */
  readonly maxMemoryBytes: number;
  /** Databases that the dump speaks of; a server with fewer refuses it. */
  readonly databases: number;
  /** Further lines of its configuration, which win: an append-only file to start from instead. */
  readonly config?: readonly string[];
}

/** How a load ended. Only `loaded` has a server to ask. */
export type LoadResult =
  | { readonly outcome: 'loaded'; readonly redis: Redis; readonly figures: LoadFigures }
  | { readonly outcome: 'refused'; readonly reason: string }
  | { readonly outcome: 'too-large'; readonly usedBytes: number };

export interface LoadFigures {
  readonly loadMs: number;
  /** Keys that the load put in memory, by the server's own count. */
  readonly keysLoaded: number;
  /** Keys that had expired when they were loaded; undefined where the server does not count them (before 7.0). */
  readonly keysExpired?: number;
  /** Hashes that the load dropped because every field had expired; some servers (Valkey 9) tell it in their log only. */
  readonly emptiedHashes: number;
}

/**
 * Starts a server of our own on a dump and hands it to `use`: a unix socket that only this user may open, a random
 * password, no persistence. The server and its folders are gone afterwards, however this process ends.
 *
 * @param dumpPath its folder is the server's directory; a proof's work folder is removed with the server, any other stays
 */
export async function withLoadedServer<T>(
  server: SandboxServer,
  dumpPath: string,
  limits: LoadLimits,
  io: { signal: AbortSignal; onProgress: (loadedBytes: number, totalBytes: number) => void },
  use: (result: LoadResult) => Promise<T>,
): Promise<T> {
  // Sockets have short names: the system allows about a hundred characters, a worker's folder may be longer.
  const socketFolder = await mkdtemp(join(tmpdir(), 'rewind-sandbox-'));
  const socket = join(socketFolder, 'redis.sock');
  // Not among the folders that the leash removes: a refusal is read from it after the server has ended.
  const logFile = `${dirname(dumpPath)}.log`;
  const password = randomBytes(24).toString('base64url');
  const startedAt = performance.now();
  const process = await startLeashed({
    name: `sandbox ${server.name}`,
    command: server.path,
    args: ['-'],
    cwd: dirname(dumpPath),
    logFile,
    cleanup: [socketFolder, ...(isWorkFolder(dirname(dumpPath)) ? [dirname(dumpPath)] : [])],
    graceMs: 2_000,
    stdin: [
      'port 0',
      `unixsocket ${socket}`,
      'unixsocketperm 700',
      `requirepass ${password}`,
      `dir "${dirname(dumpPath)}"`,
      `dbfilename "${basename(dumpPath)}"`,
      'save ""',
      'appendonly no',
      'daemonize no',
      `databases ${Math.max(16, limits.databases)}`,
      ...(limits.config ?? []),
      '',
    ].join('\n'),
  });
  let loaded: LoadEnd | undefined;
  try {
    const { maxMemoryBytes } = limits;
    loaded = await awaitLoad({ process, socket, password, logFile, maxMemoryBytes }, io);
    if (loaded.outcome !== 'loaded') return await use(loaded);
    const { redis, info } = loaded;
    const figures: LoadFigures = {
      loadMs: Math.round(performance.now() - startedAt),
      keysLoaded: infoNumber(info, 'rdb_last_load_keys_loaded') ?? keysOf(info),
      keysExpired: infoNumber(info, 'rdb_last_load_keys_expired'),
      emptiedHashes: await emptiedHashes(logFile),
    };
    return await use({ outcome: 'loaded', redis, figures });
  } finally {
    if (loaded?.outcome === 'loaded') loaded.redis.disconnect();
    await process.stop();
    await rm(logFile, { force: true });
  }
}

async function emptiedHashes(logFile: string): Promise<number> {
  const log = await readFile(logFile, 'utf8').catch(() => '');
  return Number(/all fields expired hashes: (\d+)/.exec(log)?.[1] ?? 0);
}
