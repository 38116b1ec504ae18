import { rmdir } from 'node:fs/promises';
import { withRedis } from '../redis/connection.ts';
import { type Info, readInfo } from '../redis/info.ts';
import { removeAbandoned, removeHalfMade } from './half-made.ts';
import type { InstanceContext } from './instance-context.ts';
import { removeKilledSaves } from './killed-saves.ts';
import { pinFolder, prunePins } from './pin.ts';
import type { BackupSubject } from './subject.ts';

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
  const redis = await askRedis(context);
  if (redis) {
    const { keep, forSeconds, minFreePercent } = context.policy.host.local;
    removed += await prunePins(redis.dir, subject.backupId, {
      keep,
      forMs: forSeconds * 1000,
      minFreePercent,
      stored: outcome.stored,
      now: Date.now(),
    });
    await rmdir(pinFolder(redis.dir)).catch(() => undefined);
    removed += await removeKilledSaves(redis.dir, redis.server);
  }
  if (!outcome.stored) removed += await removeHalfMade(context.repository, subject);
  // What others left long ago is no reason to hold this run up: every later one looks for it again.
  removed += await removeAbandoned(context.repository, subject.instance).catch(() => 0);
  return { removed };
}

/** Where Redis saves, and what it does now; undefined where there is no file of its to clean up, or it does not answer. */
async function askRedis({ policy, target }: InstanceContext): Promise<{ dir: string; server: Info } | undefined> {
  if (policy.source === 'replication') return undefined;
  try {
    return await withRedis(target, async (redis) => {
      const [, dir] = (await redis.config('GET', 'dir')) as string[];
      return dir === undefined ? undefined : { dir, server: await readInfo(redis, 'everything') };
    });
  } catch {
    return undefined;
  }
}
