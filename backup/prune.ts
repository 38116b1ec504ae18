import { readdir, rmdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { withRedis } from '../redis/connection.ts';
import { readInfo } from '../redis/info.ts';
import { backupDirectory } from '../repository/layout.ts';
import type { InstanceContext } from './instance-context.ts';
import { pinFolder, prunePins } from './pin.ts';
import type { BackupSubject } from './subject.ts';

/** Redis leaves `temp-<pid>.rdb` when its child or itself is killed -9, and they fill the disk. */
const KILLED_SAVE = /^temp-\d+\.rdb$/;

/** A temporary dump that no save has touched for this long belongs to no save, in milliseconds. */
const ABANDONED_AFTER_MS = 10 * 60_000;

/**
 * Lets go of what a backup held on the host, and of what crashed runs left there; when the backup was not stored, of its
 * half-made objects in the repository, too. Never touches a directory that has a manifest.
 */
export async function pruneAfterBackup(
  context: InstanceContext,
  subject: BackupSubject,
  outcome: { stored: boolean },
): Promise<{ removed: number }> {
  let removed = 0;
  const dir = await redisDir(context);
  if (dir) {
    const { keep, forSeconds } = context.policy.host.local;
    removed += await prunePins(dir, subject.backupId, {
      keep,
      forMs: forSeconds * 1000,
      stored: outcome.stored,
      now: Date.now(),
    });
    await rmdir(pinFolder(dir)).catch(() => undefined);
    removed += await removeKilledSaves(context, dir);
  }
  if (!outcome.stored) removed += await removeHalfMade(context, subject);
  return { removed };
}

async function redisDir(context: InstanceContext): Promise<string | undefined> {
  if (context.policy.source === 'replication') return undefined;
  const reply = await withRedis(context.target, (redis) => redis.config('GET', 'dir')).catch(() => undefined);
  return (reply as string[] | undefined)?.[1];
}

async function removeKilledSaves(context: InstanceContext, dir: string): Promise<number> {
  const saving = await withRedis(context.target, (redis) => readInfo(redis, 'persistence')).catch(() => undefined);
  if (saving?.rdb_bgsave_in_progress !== '0') return 0;
  let removed = 0;
  for (const name of await readdir(dir).catch(() => [])) {
    if (!KILLED_SAVE.test(name)) continue;
    const path = join(dir, name);
    const touched = (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now();
    if (Date.now() - touched < ABANDONED_AFTER_MS) continue;
    await unlink(path).then(
      () => (removed += 1),
      () => undefined,
    );
  }
  return removed;
}

async function removeHalfMade(context: InstanceContext, subject: BackupSubject): Promise<number> {
  const { repository } = context;
  const directory = backupDirectory(subject);
  const keys: string[] = [];
  for await (const { key } of repository.list(directory)) keys.push(key);
  if (keys.some((key) => key.endsWith('/manifest.json'))) return 0;
  for (const key of keys) await repository.remove(key);
  return keys.length + (await repository.sweepUploads(directory, new Date()));
}
