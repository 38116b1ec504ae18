import { readFile } from 'node:fs/promises';

/** Memory of the machine, as far as it decides whether Redis can fork for a save. */
export interface MemoryFacts {
  readonly totalBytes: number;
  readonly availableBytes: number;
  /** vm.overcommit_memory: 0 guesses, 1 always, 2 never more than the limit. */
  readonly overcommit?: 0 | 1 | 2;
  /** What may still be promised under overcommit 2, in bytes. */
  readonly commitLeftBytes?: number;
  readonly hugePages?: 'always' | 'madvise' | 'never';
}

/** @see proc(5) and proc_sys_vm(5) */
export async function memoryFacts(): Promise<MemoryFacts | undefined> {
  const lines = await text('/proc/meminfo');
  const bytes = (name: string) => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(lines ?? '')?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  };
  const [totalBytes, availableBytes] = [bytes('MemTotal'), bytes('MemAvailable')];
  if (totalBytes === undefined || availableBytes === undefined) return undefined;
  const overcommit = Number((await text('/proc/sys/vm/overcommit_memory'))?.trim());
  const [limit, committed] = [bytes('CommitLimit'), bytes('Committed_AS')];
  const hugePages = /\[(always|madvise|never)\]/.exec(
    (await text('/sys/kernel/mm/transparent_hugepage/enabled')) ?? '',
  )?.[1];
  return {
    totalBytes,
    availableBytes,
    overcommit: overcommit === 0 || overcommit === 1 || overcommit === 2 ? overcommit : undefined,
    commitLeftBytes: limit === undefined || committed === undefined ? undefined : limit - committed,
    hugePages: hugePages as MemoryFacts['hugePages'],
  };
}

const text = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);
