import { runCommand } from './run-command.ts';

/**
 * Whether the kernel says that it ended this process for want of memory. Undefined where its log may not be read or
 * reaches not so far back.
 */
export async function wasKilledForMemory(pid: number): Promise<boolean | undefined> {
  const log = await runCommand(['dmesg']).catch(() => undefined);
  if (log?.code !== 0 || log.stdout === '') return undefined;
  return new RegExp(`(Killed process|oom-kill:.*pid=) ?${pid}\\b`).test(log.stdout) ? true : undefined;
}
