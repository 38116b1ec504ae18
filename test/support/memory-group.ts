import { randomUUID } from 'node:crypto';
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const v1 = '/sys/fs/cgroup/memory';
const v2 = '/sys/fs/cgroup';

/** Why no control group can be made here, or undefined. */
export function cannotLimitMemory(): string | undefined {
  try {
    accessSync(root(), constants.W_OK);
    return existsSync(join(root(), 'cgroup.procs')) ? undefined : 'no control groups here';
  } catch {
    return 'this user may make no control group';
  }
}

const root = (): string => (existsSync(join(v1, 'cgroup.procs')) ? v1 : v2);

/** A control group of its own with a memory limit, and the processes that are put there. `remove` when they have ended. */
export async function memoryGroup(limitBytes: number) {
  const name = `rewind-test-${randomUUID().slice(0, 8)}`;
  const folder = join(root(), name);
  await mkdir(folder);
  await writeFile(join(folder, root() === v1 ? 'memory.limit_in_bytes' : 'memory.max'), String(limitBytes));
  return {
    group: `/${name}`,
    put: (pid: number) => writeFile(join(folder, 'cgroup.procs'), String(pid)),
    remove: async () => {
      while ((await readFile(join(folder, 'cgroup.procs'), 'utf8')) !== '') await sleep(50);
      await rmdir(folder);
    },
  };
}
