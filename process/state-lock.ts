import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../errors/rewind-error.ts';
import { takeTicket } from './ticket-lock.ts';

export interface StateLock {
  release(): void;
}

/** Two who start at the same moment see each other and step back; this often before both give up. */
const attempts = 10;

/**
 * Takes the state folder for this process.
 *
 * @param folder the state folder; made when it is not there
 * @throws RewindError STATE_LOCKED with the pid of the one that holds it
 */
export async function takeStateLock(folder: string): Promise<StateLock> {
  const tickets = join(folder, 'lock');
  mkdirSync(tickets, { recursive: true, mode: 0o700 });
  for (let attempt = 1; ; attempt++) {
    const ticket = takeTicket(tickets);
    if ('release' in ticket) return ticket;
    const { pid, since } = ticket.holder;
    if (attempt === attempts) {
      throw new RewindError(
        'STATE_LOCKED',
        `process ${pid} works in ${folder}${since === undefined ? '' : ` since ${since.toISOString()}`}`,
        { details: { pid, folder } },
      );
    }
    await sleep(20 + Math.random() * 60);
  }
}
