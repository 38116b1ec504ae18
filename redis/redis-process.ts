import { readlink, realpath } from 'node:fs/promises';

/**
 * Redis makes its `dir` its working directory: a process of its pid that is there is Redis, and its pids are ours.
 *
 * @param pid as Redis itself gives it: in a container of its own it counts otherwise
 * @returns undefined on another machine, in another container or of another user, or without /proc
 */
export async function redisProcess(dir: string | undefined, pid: number | undefined): Promise<number | undefined> {
  if (dir === undefined || !pid) return undefined;
  try {
    return (await readlink(`/proc/${pid}/cwd`)) === (await realpath(dir)) ? pid : undefined;
  } catch {
    return undefined;
  }
}
