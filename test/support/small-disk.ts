import { execFileSync } from 'node:child_process';
import { temporaryFolder } from './temporary-folder.ts';

/** A file system of its own in memory, small enough to be filled. */
export interface SmallDisk {
  readonly path: string;
  /** As an operator who makes room. */
  grow(limits: DiskLimits): void;
  remove(): Promise<void>;
}

export interface DiskLimits {
  /** As mount(8) takes it: `12m`. */
  readonly size: string;
  /** Files and links that fit. */
  readonly inodes?: number;
}

/** Why no disk can be mounted here, or undefined: `test.skipIf(cannotMount())`. */
export function cannotMount(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root on Linux may mount a file system';
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'this machine does not let root mount a file system';
  }
}

export async function smallDisk(limits: DiskLimits): Promise<SmallDisk> {
  const folder = await temporaryFolder('disk');
  mount(['-t', 'tmpfs', '-o', optionsOf(limits), 'none', folder.path]);
  return {
    path: folder.path,
    grow: (more) => mount(['-o', `remount,${optionsOf(more)}`, folder.path]),
    remove: async () => {
      execFileSync('umount', [folder.path]);
      await folder.remove();
    },
  };
}

const mount = (args: string[]) => execFileSync('mount', args, { stdio: 'pipe' });

const optionsOf = ({ size, inodes = 10_000 }: DiskLimits): string => `size=${size},nr_inodes=${inodes}`;
