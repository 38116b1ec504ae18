import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The tightest memory limit that a control group puts on a process: a container's, or a service's MemoryMax. The kernel
 * ends a process there when it is reached, however much the machine still has.
 */
export interface MemoryLimit {
  readonly limitBytes: number;
  /** Page cache that the kernel gives up on its own counts as left. */
  readonly leftBytes: number;
  /** As the process itself sees it; `/` is the container's own. */
  readonly group: string;
}

/** Where the kernel shows processes and control groups; other folders only in tests. */
export interface KernelFolders {
  readonly proc: string;
  readonly cgroup: string;
}

export const KERNEL_FOLDERS: KernelFolders = { proc: '/proc', cgroup: '/sys/fs/cgroup' };

/** The files of the two versions of control groups. */
const versions = {
  v2: { limit: 'memory.max', usage: 'memory.current', cache: /^inactive_file (\d+)$/m },
  v1: { limit: 'memory.limit_in_bytes', usage: 'memory.usage_in_bytes', cache: /^total_inactive_file (\d+)$/m },
} as const;

/** Version 1 writes "no limit" as the largest multiple of a page, just under 2^63. */
const NO_LIMIT = 2 ** 62;

/**
 * Reads the limits of a process' control group and of every group above it.
 *
 * @param pid default: this process
 * @returns undefined where none is set, or the group cannot be seen from here (another container's)
 * @see https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max), cgroups(7)
 */
export async function memoryLimit(
  pid: number | 'self' = 'self',
  { proc, cgroup }: KernelFolders = KERNEL_FOLDERS,
): Promise<MemoryLimit | undefined> {
  const lines = (await text(join(proc, String(pid), 'cgroup'))) ?? '';
  const v1 = /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(.+)$/m.exec(lines)?.[1];
  const v2 = /^0::(.+)$/m.exec(lines)?.[1];
  const [version, group, root] =
    v1 === undefined ? (['v2', v2, cgroup] as const) : (['v1', v1, join(cgroup, 'memory')] as const);
  // `/../name`: a group outside of the part that this process may see.
  if (group === undefined || group.split('/').includes('..')) return undefined;
  let tightest: MemoryLimit | undefined;
  for (const each of withThoseAbove(group)) {
    const found = await limitOf(join(root, each), each, version);
    if (found && (!tightest || found.leftBytes < tightest.leftBytes)) tightest = found;
  }
  return tightest;
}

/** `/a/b`, `/a`, `/` */
function withThoseAbove(group: string): string[] {
  const names = group.split('/').filter(Boolean);
  return [...names.map((_, at) => `/${names.slice(0, names.length - at).join('/')}`), '/'];
}

async function limitOf(
  folder: string,
  group: string,
  version: keyof typeof versions,
): Promise<MemoryLimit | undefined> {
  const files = versions[version];
  // `max` is no number, and the root of version 2 has no such file.
  const limitBytes = Number((await text(join(folder, files.limit))) ?? Number.NaN);
  const usage = Number((await text(join(folder, files.usage))) ?? Number.NaN);
  if (!(limitBytes < NO_LIMIT) || Number.isNaN(usage)) return undefined;
  const cache = Number(files.cache.exec((await text(join(folder, 'memory.stat'))) ?? '')?.[1] ?? 0);
  return { limitBytes, leftBytes: Math.max(0, limitBytes - usage + Math.min(cache, usage)), group };
}

const text = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);
