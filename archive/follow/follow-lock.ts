import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import { takeTicket } from '../../process/ticket-lock.ts';
import { type AofPlace, lockFolder } from './aof-place.ts';

/** Two who start at the same moment see each other and step back; this often before one gives up. */
const attempts = 10;

/** Of two processes on one host one follows. @throws ARCHIVE_FOLLOWED */
export async function lockFollowing(place: AofPlace): Promise<{ release(): void }> {
  const folder = lockFolder(place);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (let attempt = 1; ; attempt++) {
    const ticket = takeTicket(folder);
    if ('release' in ticket) return ticket;
    if (attempt === attempts) {
      throw new RewindError(
        'ARCHIVE_FOLLOWED',
        `Process ${ticket.holder.pid} follows the append-only files in ${place.redisDir} already.`,
        { details: { pid: ticket.holder.pid } },
      );
    }
    await sleep(20 + Math.random() * 60);
  }
}
