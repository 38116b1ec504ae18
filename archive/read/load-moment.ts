import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { infoNumber, keysOf, readInfo } from '../../redis/info.ts';
import { withLoadedServer } from '../../sandbox/loaded-server.ts';
import { type SandboxServer, serverFor } from '../../sandbox/servers.ts';
import { layDown } from './lay-down.ts';
import type { Moment } from './moment.ts';
import type { ArchivePlace } from './records.ts';

/** Where moments are loaded on this machine: the state folder of the role, its servers, and their limit. */
export interface MomentSandbox {
  readonly home: string;
  readonly servers: readonly SandboxServer[];
  readonly maxMemoryBytes: number;
}

export interface LoadedMoment {
  readonly keys: number;
  readonly loadMs: number;
  /** Commands that were refused while it was replayed (WRONGTYPE): by what was there; 0 where a server does not count. */
  readonly refusedCommands: number;
  readonly server: { readonly name: string; readonly version: string };
}

/** More than anybody configures; a manifest takes as many. Empty ones cost next to nothing. */
const databases = 16_384;
/** A folder that nobody has touched for so long is of a run that was ended for good, in milliseconds. */
const forgottenMs = 7 * 86_400_000;

/**
 * Lays a moment down and has a real server of our own start from it, as a plain one would: that proves that it can be
 * restored. It runs as a replica of nobody that answers, so that no key expires meanwhile: the moment stays what it was.
 *
 * @param use the server, and the folder that it runs in; what is there is removed afterwards
 * @throws ARCHIVE_MOMENT_REFUSED, SANDBOX_NO_SERVER, DISK_FULL and those of laying it down. What was laid down stays when it
 *   is cut off, so that the next call goes on there.
 */
export async function loadMoment<T>(
  place: ArchivePlace,
  moment: Moment,
  { home, servers, maxMemoryBytes }: MomentSandbox,
  io: StepIO,
  use: (redis: Redis, loaded: LoadedMoment, dir: string) => Promise<T>,
): Promise<T> {
  const server = serverFor(servers, moment);
  const root = join(home, 'moments');
  const digest = createHash('sha256').update(JSON.stringify(moment)).digest('hex').slice(0, 16);
  const dir = join(root, digest);
  await mkdir(root, { recursive: true, mode: 0o700 });
  await removeForgotten(root);
  await layDown(place, moment, dir, io);
  const config = [
    'appendonly yes',
    'appendfilename appendonly.aof',
    ...(server.name === 'redis' && Number.parseInt(server.version, 10) < 7 ? [] : ['appenddirname appendonlydir']),
    'aof-load-truncated no',
    'auto-aof-rewrite-percentage 0',
    'replicaof 127.0.0.1 1',
  ];
  const onProgress = (done: number, total: number) => io.onProgress({ phase: 'load', done, total, unit: 'bytes' });
  const dumpPath = join(dir, 'dump.rdb');
  const limits = { maxMemoryBytes, databases, config };
  const result = await withLoadedServer(server, dumpPath, limits, { signal: io.signal, onProgress }, async (loaded) => {
    if (loaded.outcome === 'refused') throw refused(`${server.name} ${server.version}: ${loaded.reason}`);
    if (loaded.outcome === 'too-large') {
      throw refused(`the load was ended at ${loaded.usedBytes} bytes of memory; it may use ${maxMemoryBytes}`);
    }
    const info = await readInfo(loaded.redis, 'everything');
    const keys = keysOf(info);
    // Nobody but the file has sent it anything yet.
    const refusedCommands = infoNumber(info, 'total_error_replies') ?? 0;
    const { name, version } = server;
    const figures = { keys, loadMs: loaded.figures.loadMs, refusedCommands, server: { name, version } };
    return use(loaded.redis, figures, dir);
  });
  await rm(dir, { recursive: true, force: true });
  return result;
}

/** Memory that the data takes, as the loaded server says. */
export async function memoryOf(redis: Redis): Promise<number> {
  return infoNumber(await readInfo(redis, 'everything'), 'used_memory') ?? 0;
}

async function removeForgotten(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    const path = join(root, name);
    const touched = (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now();
    if (Date.now() - touched > forgottenMs) await rm(path, { recursive: true, force: true });
  }
}

const refused = (why: string): RewindError =>
  new RewindError('ARCHIVE_MOMENT_REFUSED', `No server starts from the moment that was laid down: ${why}.`);
