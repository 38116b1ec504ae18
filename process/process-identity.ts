import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * What tells a process from a later one that was given the same pid: on Linux the boot and the tick it started at, elsewhere its
 * start time as `ps` prints it. Undefined when no such process runs (a zombie counts as ended). Letters, digits and `-` only, so that
 * it can stand in a file's name.
 */
export function processIdentity(pid: number): string | undefined {
  if (process.platform !== 'linux') return startTimeByPs(pid);
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // proc(5): the name in parentheses may itself hold spaces and parentheses, so the fields are counted from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()}-${fields[19]}`;
  } catch {
    return undefined;
  }
}

/** True while the process that had this pid and identity runs. Without an identity the pid alone decides. */
export function isAlive(pid: number, identity?: string): boolean {
  const now = processIdentity(pid);
  return now !== undefined && (identity === undefined || identity === now);
}

function startTimeByPs(pid: number): string | undefined {
  try {
    const [state, ...start] = execFileSync('ps', ['-o', 'state=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
      .trim()
      .split(/\s+/);
    return state === undefined || state === '' || state.startsWith('Z')
      ? undefined
      : start.join('-').replace(/[^A-Za-z0-9]+/g, '-');
  } catch {
    return undefined;
  }
}
