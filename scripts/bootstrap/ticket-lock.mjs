import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Waits until no other living process works under this lock, and takes it. Each contender puts down a ticket of its own name, then
 * looks at all of them: with another living one there it takes its own away and comes back. So two never get in, and the ticket of
 * a dead process (also one whose pid was given away again) can be removed by anybody without a race.
 * @param {string} folder that holds the tickets
 * @param {(pid: number) => void} onWait called once, with a process that holds it
 * @returns {Promise<() => void>} releases it
 */
export async function takeTicket(folder, onWait) {
  mkdirSync(folder, { recursive: true });
  const own = `${process.pid}.${identity(process.pid)}.${randomBytes(4).toString('hex')}`;
  for (let waited = false; ; waited = true) {
    writeFileSync(join(folder, own), '');
    const other = readdirSync(folder).find((ticket) => ticket !== own && !removedIfDead(folder, ticket));
    if (other === undefined) return () => rmSync(join(folder, own), { force: true });
    rmSync(join(folder, own), { force: true });
    if (!waited) onWait(Number(other.split('.')[0]));
    await new Promise((settle) => setTimeout(settle, 100 + Math.random() * 400));
  }
}

/** True while the process with this pid and identity runs. */
export function isAlive(pid, itsIdentity) {
  const now = identity(pid);
  return now !== undefined && now === itsIdentity;
}

/** What tells a process from a later one with the same pid; undefined when none runs. Made of letters, digits and `-` only. */
export function identity(pid) {
  try {
    if (process.platform === 'linux') {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // proc(5): field 3 is the state, 22 the start
      if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
      return `${readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8)}-${fields[19]}`;
    }
    const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8', stdio: 'pipe' });
    return started.trim() === '' ? undefined : started.trim().replace(/[^A-Za-z0-9]+/g, '-');
  } catch {
    return undefined;
  }
}

function removedIfDead(folder, ticket) {
  const [pid, itsIdentity] = ticket.split('.');
  if (isAlive(Number(pid), itsIdentity)) return false;
  rmSync(join(folder, ticket), { force: true });
  return true;
}
