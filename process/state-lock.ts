import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../errors/rewind-error.ts';
import { isAlive, processIdentity } from './process-identity.ts';

export interface StateLock {
  release(): void;
}

/** Two who start at the same moment see each other and step back; this often before both give up. */
const attempts = 10;

/**
 * Takes the state folder for this process. Each contender puts down a ticket of its own name and then looks at all of them: with another
 * living process' ticket there it takes its own away. So two never get in; and the ticket of a dead process, also of one whose pid
 * was given away again, can be removed by anybody without a race.
 *
 * @param folder the state folder; made when it is not there
 * @throws RewindError STATE_LOCKED with the pid of the one that holds it
 */
export async function takeStateLock(folder: string): Promise<StateLock> {
  const tickets = join(folder, 'lock');
  mkdirSync(tickets, { recursive: true, mode: 0o700 });
  // All that a ticket says stands in its name, so there is no moment in which it is there and says nothing.
  const own = `${process.pid}.${processIdentity(process.pid)}.${randomBytes(4).toString('hex')}`;
  const release = () => rmSync(join(tickets, own), { force: true });
  for (let attempt = 1; ; attempt++) {
    writeFileSync(join(tickets, own), '', { mode: 0o600 });
    const holder = livingOther(tickets, own);
    if (holder === undefined) return { release };
    release();
    if (attempt === attempts) {
      throw new RewindError(
        'STATE_LOCKED',
        `process ${holder.pid} works in ${folder}${holder.since === undefined ? '' : ` since ${holder.since.toISOString()}`}`,
        { details: { pid: holder.pid, folder } },
      );
    }
    await sleep(20 + Math.random() * 60);
  }
}

function livingOther(tickets: string, own: string): { pid: number; since: Date | undefined } | undefined {
  for (const name of readdirSync(tickets)) {
    if (name === own) continue;
    const file = join(tickets, name);
    const [pid, identity] = name.split('.');
    if (isAlive(Number(pid), identity)) {
      return { pid: Number(pid), since: statSync(file, { throwIfNoEntry: false })?.mtime };
    }
    rmSync(file, { force: true });
  }
  return undefined;
}
