import { rmdir } from 'node:fs/promises';
import { withRedis } from '../redis/connection.ts';
import { type Info, readInfo } from '../redis/info.ts';
import { backupDirectory } from '../repository/layout.ts';
import { removeAbandoned, removeHalfMade } from './half-made.ts';
import type { InstanceContext } from './instance-context.ts';
import { removeKilledSaves } from './killed-saves.ts';
import { pinFolder, prunePins } from './pin.ts';
import type { BackupSubject } from './subject.ts';
import { endWalkAhead } from './walk-ahead.ts';

/** How a run ended, for the clean-up after it. */
export interface BackupOutcome {
  readonly stored: boolean;
  /** Where its dump was pinned: the server that answers by then may be another one, or none. */
  readonly dumpDir?: string;
}

/**
 * Lets go of what a backup held on the host, and of what crashed runs left there; when the backup was not stored, of its
 * half-made objects in the repository, too. Never touches a directory that has a manifest.
 */
export async function pruneAfterBackup(
  context: InstanceContext,
  subject: BackupSubject,
  outcome: BackupOutcome,
): Promise<{ removed: number }> {
  let removed = 0;
  endWalkAhead(subject.backupId);
  const redis = await askRedis(context);
  const { keep, forSeconds, minFreePercent } = context.policy.host.local;
  for (const dir of new Set([outcome.dumpDir, redis?.dir])) {
    if (dir === undefined) continue;
    removed += await prunePins(dir, subject.backupId, {
      keep,
      forMs: forSeconds * 1000,
      minFreePercent,
      stored: outcome.stored,
      now: Date.now(),
    });
    await rmdir(pinFolder(dir)).catch(() => undefined);
  }
  if (redis) removed += await removeKilledSaves(redis.dir, redis.server);
  // An upload whose beginning was answered late, or not at all, is open beside the one that became the backup.
  removed += outcome.stored
    ? await context.repository.sweepUploads(backupDirectory(subject)).catch(() => 0)
    : await removeHalfMade(context.repository, subject);
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
