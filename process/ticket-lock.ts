import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive, processIdentity } from './process-identity.ts';

/** A living process that works under a lock, or contends for it at this moment. */
export interface TicketHolder {
  readonly pid: number;
  readonly since: Date | undefined;
}

export type Ticket = { readonly release: () => void } | { readonly holder: TicketHolder };

/**
 * Tries once to take the lock that a folder stands for. Each contender puts down a ticket of its own name and then looks
 * at all of them: with another living process' ticket there it takes its own away. So two never get in, and two who try
 * at the same moment may both step back: come again after a random while. The ticket of a dead process, also of one
 * whose pid was given away again, can be removed by anybody without a race, because its name is never used again.
 *
 * @param folder is there already
 * @param mode of the ticket's file
 */
export function takeTicket(folder: string, mode = 0o600): Ticket {
  // All that a ticket says stands in its name, so there is no moment in which it is there and says nothing.
  const own = `${process.pid}.${processIdentity(process.pid)}.${randomBytes(8).toString('hex')}`;
  const release = () => rmSync(join(folder, own), { force: true });
  writeFileSync(join(folder, own), '', { mode });
  try {
    const holder = livingOther(folder, own);
    if (holder === undefined) return { release };
    release();
    return { holder };
  } catch (error) {
    release();
    throw error;
  }
}

function livingOther(folder: string, own: string): TicketHolder | undefined {
  for (const name of readdirSync(folder)) {
    if (name === own) continue;
    const file = join(folder, name);
    const [pid, identity] = name.split('.');
    if (isAlive(Number(pid), identity)) {
      return { pid: Number(pid), since: statSync(file, { throwIfNoEntry: false })?.mtime };
    }
    rmSync(file, { force: true });
  }
  return undefined;
}
