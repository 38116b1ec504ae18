import { accessSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import { takeTicket } from '../../process/ticket-lock.ts';
import { type AofPlace, lockFolder } from './aof-place.ts';

/** Two who start at the same moment see each other and step back; this often before one gives up. */
const attempts = 10;

/**
 * Of two processes on one host one follows: beside the data, which both see, or where nothing may be written there, at home.
 *
 * @throws ARCHIVE_FOLLOWED
 */
export async function lockFollowing(place: AofPlace, home: string): Promise<{ release(): void }> {
  const folder = writable(lockFolder(place)) ?? join(home, 'archive', `lock-${place.identity}`);
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

function writable(folder: string): string | undefined {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    accessSync(folder, constants.W_OK);
    return folder;
  } catch {
    return undefined;
  }
}
