import { createHash } from 'node:crypto';
import { access, constants, readFile, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type MemoryFacts, memoryFacts } from '../redis/host-memory.ts';
import { reasonInLog } from '../redis/log-reason.ts';
import { redisProcess } from '../redis/redis-process.ts';
import type { RedisFacts } from './redis-facts.ts';

/** The machine that Redis runs on, as a process there sees it. Undefined where this system does not tell. */
export interface HostFacts {
  /** The same for every process of one machine, containers too. */
  readonly machine?: string;
  readonly memory?: MemoryFacts;
  /** Absent where Redis does not tell where it saves. */
  readonly dump?: DumpPlaceFacts;
  /** Why the last save failed, in Redis' own words. */
  readonly lastSaveFailure?: string;
}

export interface DumpPlaceFacts {
  readonly dir: string;
  readonly readable: boolean;
  readonly freeBytes?: number;
  /** Undefined: no dump is there yet. */
  readonly last?: {
    readonly sizeBytes: number;
    readonly readable: boolean;
    /** False where the system lets this user make no hard link to it. */
    readonly linkable: boolean;
  };
  /** The repository is a folder on the same file system. */
  readonly holdsRepository: boolean;
}

/** @param repositoryUrl the place of a `file://` repository is compared with the dump's */
export async function readHostFacts(
  redis: Pick<RedisFacts, 'dump' | 'logFile' | 'persistence' | 'topology'> | undefined,
  repositoryUrl: string,
): Promise<HostFacts> {
  return {
    machine: await machineMark(),
    memory: await memoryFacts((await redisProcess(redis?.dump?.dir, redis?.topology.processId)) ?? 'unseen'),
    dump: redis?.dump && (await dumpPlace(redis.dump, repositoryUrl)),
    lastSaveFailure:
      redis?.persistence.lastSave === 'err' && redis.logFile
        ? await reasonInLog(redis.logFile, redis.dump?.dir)
        : undefined,
  };
}

/** A digest: the id itself is nobody's business elsewhere. */
export async function machineMark(): Promise<string | undefined> {
  const id = await text('/proc/sys/kernel/random/boot_id');
  return id && createHash('sha256').update(id).digest('hex').slice(0, 12);
}

async function dumpPlace(
  { dir, dbfilename }: { dir: string; dbfilename: string },
  repositoryUrl: string,
): Promise<DumpPlaceFacts> {
  const readable = await may(dir, constants.R_OK | constants.X_OK);
  if (!readable) return { dir, readable, holdsRepository: false };
  const disk = await statfs(dir);
  const path = join(dir, dbfilename);
  const dump = await stat(path).catch(() => undefined);
  const own = process.geteuid?.() === 0 || dump?.uid === process.geteuid?.();
  const unprotected = (await text('/proc/sys/fs/protected_hardlinks'))?.trim() === '0';
  return {
    dir,
    readable,
    freeBytes: disk.bavail * disk.bsize,
    last: dump && {
      sizeBytes: dump.size,
      readable: await may(path, constants.R_OK),
      linkable: (own || unprotected) && (await may(dir, constants.W_OK)),
    },
    holdsRepository: await onOneFileSystem(dir, repositoryUrl),
  };
}

/** The folder of a repository may not be there yet: the nearest one above it will hold it. */
async function onOneFileSystem(dir: string, repositoryUrl: string): Promise<boolean> {
  if (!repositoryUrl.startsWith('file:')) return false;
  let folder = fileURLToPath(repositoryUrl);
  for (;;) {
    const found = await stat(folder).catch(() => undefined);
    if (found) return found.dev === (await stat(dir)).dev;
    if (folder === dirname(folder)) return false;
    folder = dirname(folder);
  }
}

const may = (path: string, how: number): Promise<boolean> =>
  access(path, how).then(
    () => true,
    () => false,
  );

const text = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);
