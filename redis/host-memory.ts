import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KERNEL_FOLDERS, type KernelFolders, type MemoryLimit, memoryLimit } from './memory-limit.ts';

/** Memory that a process may still have, as far as it decides whether Redis can fork for a save. */
export interface MemoryFacts {
  /** Of the machine, or of the limit where that is less. */
  readonly totalBytes: number;
  readonly availableBytes: number;
  /** Present where a control group, not the machine, sets `availableBytes`. */
  readonly limit?: MemoryLimit;
  /** vm.overcommit_memory: 0 guesses, 1 always, 2 never more than the limit. */
  readonly overcommit?: 0 | 1 | 2;
  /** What may still be promised under overcommit 2, in bytes. */
  readonly commitLeftBytes?: number;
  readonly hugePages?: 'always' | 'madvise' | 'never';
}

/**
 * @param pid of the process whose memory is meant, default this one; `unseen`: one of another container, whose limit
 *   cannot be read from here, so that the machine's memory is all that is known
 * @see proc(5) and proc_sys_vm(5)
 */
export async function memoryFacts(
  pid: number | 'self' | 'unseen' = 'self',
  folders: KernelFolders = KERNEL_FOLDERS,
): Promise<MemoryFacts | undefined> {
  const { proc } = folders;
  const lines = await text(join(proc, 'meminfo'));
  const bytes = (name: string) => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(lines ?? '')?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  };
  const [totalBytes, availableBytes] = [bytes('MemTotal'), bytes('MemAvailable')];
  if (totalBytes === undefined || availableBytes === undefined) return undefined;
  const found = pid === 'unseen' ? undefined : await memoryLimit(pid, folders);
  const limit = found && found.leftBytes < availableBytes ? found : undefined;
  const overcommit = Number((await text(join(proc, 'sys/vm/overcommit_memory')))?.trim());
  const [commitLimit, committed] = [bytes('CommitLimit'), bytes('Committed_AS')];
  const hugePages = /\[(always|madvise|never)\]/.exec(
    (await text('/sys/kernel/mm/transparent_hugepage/enabled')) ?? '',
  )?.[1];
  return {
    totalBytes: Math.min(totalBytes, limit?.limitBytes ?? totalBytes),
    availableBytes: limit?.leftBytes ?? availableBytes,
    ...(limit ? { limit } : {}),
    overcommit: overcommit === 0 || overcommit === 1 || overcommit === 2 ? overcommit : undefined,
    commitLeftBytes: commitLimit === undefined || committed === undefined ? undefined : commitLimit - committed,
    hugePages: hugePages as MemoryFacts['hugePages'],
  };
}

const text = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);
