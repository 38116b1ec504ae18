import { readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive } from '../process/process-identity.ts';
import type { Info } from '../redis/info.ts';
import { redisProcess } from '../redis/redis-process.ts';

/** Redis leaves `temp-<pid of its child>.rdb` when it is killed -9, and they fill the disk. */
const KILLED_SAVE = /^temp-(\d+)\.rdb$/;

/** Where pids cannot be compared: what no save has touched for this long belongs to none, in milliseconds. */
const ABANDONED_AFTER_MS = 10 * 60_000;

/**
 * Removes the temporary dumps of saves that have ended.
 *
 * @param dir where Redis writes
 * @param info of the server that writes there
 * @returns how many
 */
export async function removeKilledSaves(dir: string, info: Info): Promise<number> {
  if (info.rdb_bgsave_in_progress !== '0') return 0;
  const pidsAreOurs = (await redisProcess(dir, Number(info.process_id))) !== undefined;
  let removed = 0;
  for (const name of await readdir(dir).catch(() => [])) {
    const writer = KILLED_SAVE.exec(name)?.[1];
    if (writer === undefined) continue;
    const path = join(dir, name);
    const untouchedMs = Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now());
    const over = (pidsAreOurs && !isAlive(Number(writer))) || untouchedMs > ABANDONED_AFTER_MS;
    if (over) {
      await unlink(path).then(
        () => (removed += 1),
        () => undefined,
      );
    }
  }
  return removed;
}
