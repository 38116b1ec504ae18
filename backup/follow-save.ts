import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { StepIO } from '../process/step-io.ts';
import { infoNumber, readInfo } from '../redis/info.ts';
import { awaitSave, type SaveStart } from '../redis/save.ts';
import { backupObject } from '../repository/layout.ts';
import type { UploadCursor } from '../repository/repository.ts';
import type { InstanceContext } from './instance-context.ts';
import type { BackupSubject } from './subject.ts';
import { beginWalkAhead, endWalkAhead } from './walk-ahead.ts';

/** The child's file until the save is done (rdb.c, rdbSave). */
const growingDump = /^temp-\d+\.rdb$/;
const lookAgainMs = 50;

export interface SaveEnd {
  /** The second (Redis' clock) at which it ended. */
  readonly endedAt: number;
  /** The upload that has what was stored meanwhile. */
  readonly ahead?: UploadCursor;
}

type FollowIO = StepIO & { resumeFrom?: UploadCursor; onCursor: (cursor: UploadCursor) => void };

/**
 * Waits until the save has ended, and meanwhile walks and stores what its child has written so far: then hardly anything
 * is left to do. Nothing rests on that: the walk counts only if it was of the file that is pinned afterwards, and each
 * part that was stored is compared with the pinned bytes.
 *
 * @throws SAVE_FAILED, SAVE_LOST
 */
export async function followSave(
  redis: Redis,
  context: InstanceContext,
  subject: BackupSubject,
  start: SaveStart,
  io: FollowIO,
): Promise<SaveEnd> {
  const over = Promise.withResolvers<void>();
  const stop = new AbortController();
  const ahead = storeAhead(redis, context, subject, start, over.promise, {
    ...io,
    signal: AbortSignal.any([io.signal, stop.signal]),
  }).catch(() => undefined);
  try {
    const { endedAt } = await awaitSave(redis, start, {
      signal: io.signal,
      onProgress: (state) =>
        io.onProgress({
          phase: state.state,
          ...(state.state === 'running' ? { ...state.progress, unit: 'keys' as const } : {}),
        }),
    });
    over.resolve();
    const stored = await ahead;
    return { endedAt, ...(stored ? { ahead: stored } : {}) };
  } catch (error) {
    stop.abort();
    endWalkAhead(subject.backupId);
    throw error;
  } finally {
    over.resolve();
  }
}

async function storeAhead(
  redis: Redis,
  context: InstanceContext,
  subject: BackupSubject,
  start: SaveStart,
  whole: Promise<void>,
  { signal, resumeFrom, onCursor }: FollowIO,
): Promise<UploadCursor | undefined> {
  // What an attempt before has stored ahead is gone on with when all is there.
  if (resumeFrom) return resumeFrom;
  const [, dir] = (await redis.config('GET', 'dir')) as string[];
  const sizeHint = infoNumber(await readInfo(redis, 'memory'), 'used_memory') ?? 0;
  const file = dir === undefined ? undefined : await openGrowingDump(dir, start.startedAt, whole, signal);
  if (file === undefined) return undefined;
  let begun: UploadCursor | undefined;
  try {
    await beginWalkAhead(subject.backupId, file, whole);
    return await context.repository.putAhead(backupObject(subject, 'dump.rdb'), file.fd, {
      whole,
      sizeHint,
      signal,
      bytesPerSecond: context.policy.limits.uploadBytesPerSecond,
      onCursor: (cursor) => {
        begun = cursor;
        onCursor(cursor);
      },
    });
  } catch {
    return begun;
  } finally {
    // The process that walks has a descriptor of its own.
    await file.close();
  }
}

/** The file that the child of a save writes, as soon as there is one; undefined where the save ends before. */
async function openGrowingDump(
  dir: string,
  startedAt: number,
  whole: Promise<void>,
  signal: AbortSignal,
): Promise<FileHandle | undefined> {
  let ended = false;
  whole.then(() => {
    ended = true;
  });
  while (!ended) {
    const found = await newestGrowing(dir, startedAt * 1000);
    if (found !== undefined) return open(found, 'r');
    await sleep(lookAgainMs, undefined, { signal });
  }
  return undefined;
}

/** Of a child that was killed a file stays for ever: only one that was written to since then is meant. */
async function newestGrowing(dir: string, sinceMs: number): Promise<string | undefined> {
  const found: { path: string; mtimeMs: number }[] = [];
  for (const name of (await readdir(dir)).filter((each) => growingDump.test(each))) {
    const path = join(dir, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: 0 }));
    if (mtimeMs >= sinceMs) found.push({ path, mtimeMs });
  }
  return found.sort((a, b) => b.mtimeMs - a.mtimeMs)[0]?.path;
}
