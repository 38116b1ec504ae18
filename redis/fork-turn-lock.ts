import { randomUUID } from 'node:crypto';
import { chmod, link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isAlive, processIdentity } from '../process/process-identity.ts';

/** Who holds the lock. */
export interface LockHolder {
  readonly pid: number;
  /** Tells the holder from a later process of the same pid. */
  readonly identity?: string;
}

/** One for the whole host: agents of several instances, perhaps of several users, meet here. */
export const forkTurnLockPath = join(tmpdir(), 'redis-rewind-host', 'fork-turn.lock');

/**
 * Takes the lock, or says who holds it. A lock whose process has ended is taken over.
 *
 * @returns undefined when the lock is ours now
 */
export async function takeForkTurnLock(path: string): Promise<LockHolder | undefined> {
  await sharedFolder(dirname(path));
  const own = `${path}.${randomUUID()}`;
  const holder: LockHolder = { pid: process.pid, identity: processIdentity(process.pid) };
  // A link appears with its content in one step: nobody ever reads half a lock.
  await writeFile(own, JSON.stringify(holder), { flag: 'wx', mode: 0o644 });
  try {
    for (;;) {
      try {
        await link(own, path);
        return undefined;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const other = await readHolder(path);
      if (other === undefined) continue;
      if (isAlive(other.pid, other.identity)) return other;
      await removeStale(path, other);
    }
  } finally {
    await rm(own, { force: true });
  }
}

/** Gives the lock back if it is still ours. */
export async function releaseForkTurnLock(path: string): Promise<void> {
  const holder = await readHolder(path);
  if (holder?.pid === process.pid && holder.identity === processIdentity(process.pid)) await rm(path, { force: true });
}

/** Every user of the host may create and remove locks here, so the folder is open to all and not sticky. */
async function sharedFolder(path: string): Promise<void> {
  if ((await mkdir(path, { recursive: true })) !== undefined) await chmod(path, 0o777);
}

async function readHolder(path: string): Promise<LockHolder | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { pid, identity } = JSON.parse(text) as Partial<LockHolder>;
    // What is no holder of ours stands in the way for nobody: pid 0 is never alive.
    return { pid: typeof pid === 'number' && pid > 0 ? pid : 0, identity };
  } catch {
    return { pid: 0 };
  }
}

/** Moves the lock aside before it is removed: two that find it stale at once must not remove the first one's new lock. */
async function removeStale(path: string, stale: LockHolder): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = await readHolder(aside);
  if (moved?.pid !== stale.pid || moved.identity !== stale.identity) await link(aside, path).catch(() => {});
  await rm(aside, { force: true });
}
