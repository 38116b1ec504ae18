import { mkdir, statfs } from 'node:fs/promises';
import { memoryFacts } from '../redis/host-memory.ts';
import type { SandboxServer } from '../sandbox/servers.ts';
import { machineMark } from './host-facts.ts';

/** What a sandbox has to load dumps with. */
export interface SandboxFacts {
  readonly servers: readonly Pick<SandboxServer, 'name' | 'version'>[];
  readonly maxMemoryBytes: number;
  /** Of the disk that dumps are downloaded to. */
  readonly freeBytes: number;
  readonly availableMemoryBytes?: number;
  readonly machine?: string;
}

export async function readSandboxFacts(sandbox: {
  servers: readonly SandboxServer[];
  maxMemoryBytes: number;
  workRoot: string;
}): Promise<SandboxFacts> {
  await mkdir(sandbox.workRoot, { recursive: true, mode: 0o700 });
  const disk = await statfs(sandbox.workRoot);
  return {
    servers: sandbox.servers.map(({ name, version }) => ({ name, version })),
    maxMemoryBytes: sandbox.maxMemoryBytes,
    freeBytes: disk.bavail * disk.bsize,
    availableMemoryBytes: (await memoryFacts())?.availableBytes,
    machine: await machineMark(),
  };
}
