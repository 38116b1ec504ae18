import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { asOwnChange } from '../archive/loss/own-change.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { ownLogin } from '../fence/own-user.ts';
import type { StepIO } from '../process/step-io.ts';
import { type RedisTarget, withRedis } from '../redis/connection.ts';
import { streamAsPrimary } from './as-primary/stream-as-primary.ts';
import { selectionHere } from './key-list.ts';
import type { PutKeysCursor } from './keys/cursor.ts';
import type { PutKeysFigures } from './keys/figures.ts';
import { putKeys } from './keys/put-keys.ts';
import { rewriteOnce, withQuietRewrites } from './quiet-rewrites.ts';
import type { RestorePoint } from './restore-point.ts';
import type { RestoreRequest } from './restore-request.ts';
import { type RestoreSubject, restoreDirectory } from './restore-subject.ts';
import { shiftOf } from './stage-for-restore.ts';
import { restoreFolder, stageDump } from './staged-dump.ts';
import type { StagedFacts } from './staged-facts.ts';
import { StoredProgress } from './stored-progress.ts';

export interface Migration {
  readonly request: RestoreRequest;
  readonly point: RestorePoint;
  readonly by: 'slices' | 'commands';
  /** The target's clock when it was planned, Unix ms: what `shift` counts from, the same in every attempt. */
  readonly plannedAtMs: number;
}

export interface MigratedKeys {
  readonly figures: PutKeysFigures;
  /** Name in the repository of the list of keys that were there already; absent where there were none. */
  readonly conflicts?: string;
}

/** Share of `maxmemory` up to which a restore fills a server: before it evicts, or refuses. */
const MEMORY_SHARE = 0.95;

/** Name of the local file that lists the keys which were there already, in the restore's folder. */
export const conflictsFile = ({ attempt }: RestoreSubject): string =>
  `conflicts${attempt === undefined ? '' : `-${attempt}`}.jsonl`;

/**
 * Puts the keys of a dump into a live server: no rewrite of its append-only file begins meanwhile, one is made at the
 * end. Going on where an earlier attempt was cut off, the end is the same.
 *
 * @throws those of `stageDump` and `putKeys`
 */
export async function migrateKeys(
  context: InstanceContext,
  subject: RestoreSubject,
  { request, point, by, plannedAtMs }: Migration,
  io: StepIO & { resumeFrom?: PutKeysCursor; onCursor(cursor: PutKeysCursor): void },
): Promise<MigratedKeys> {
  const { home, repository, policy } = context;
  const target = await loginOf(context, subject);
  const folder = restoreFolder(home, subject.restoreId);
  const dumpPath = await stageDump(repository, folder, point, io);
  const selection = await selectionHere(repository, folder, request, io);
  const namesFile = join(folder, conflictsFile(subject));
  const { progress, cursor } = await StoredProgress.takeUp(repository, subject, namesFile);
  const going = {
    ...io,
    resumeFrom: io.resumeFrom ?? cursor,
    onCursor: (at: PutKeysCursor) => {
      io.onCursor(at);
      progress.note(at);
    },
  };
  const keepLive = request.onConflict === 'keep-live';
  const figures = await withQuietRewrites({ target, home }, async () => {
    const put = await putKeys(
      {
        dumpPath,
        target,
        by,
        selection,
        ttl: request.ttl,
        shiftMs: shiftOf(request, point, plannedAtMs),
        onConflict: keepLive ? 'keep-live' : 'take-backup',
        functions: keepLive ? 'append' : 'replace',
        namesFile,
        limits: {
          keysPerSecond: policy.limits.restoreKeysPerSecond,
          maxLatencyMs: policy.limits.restoreLatencyMs,
          maxMemoryShare: MEMORY_SHARE,
        },
      },
      going,
    ).finally(() => progress.settle());
    await withRedis(target, (redis) => rewriteOnce(redis, target, io));
    return put;
  }).catch((error: unknown) => {
    throw subject.fenceId === undefined ? error : untilFencedAgain(error);
  });
  const conflicts = await storeConflicts(context, subject, namesFile, io);
  await progress.remove();
  return { figures, ...(conflicts === undefined ? {} : { conflicts }) };
}

/** @returns the list's name in the repository; undefined where no key was there already */
async function storeConflicts(
  { repository }: InstanceContext,
  subject: RestoreSubject,
  namesFile: string,
  io: StepIO,
): Promise<string | undefined> {
  const names = await stat(namesFile).catch(() => undefined);
  if (!names?.size) return undefined;
  const conflicts = `${restoreDirectory(subject)}${conflictsFile(subject)}`;
  await repository.putFile(conflicts, { path: namesFile }, { sizeBytes: names.size, signal: io.signal });
  return conflicts;
}

/** Replaces the whole dataset of a server by a dump; it stays up, and its old data stays until the new is loaded. */
export async function replaceWholly(
  context: InstanceContext,
  { restoreId }: RestoreSubject,
  point: RestorePoint,
  { usedMemoryBytes }: StagedFacts,
  io: StepIO,
): Promise<MigratedKeys> {
  const { target, home, repository } = context;
  const dumpPath = await stageDump(repository, restoreFolder(home, restoreId), point, io);
  const highestDatabase = Math.max(0, ...Object.keys(point.keysByDatabase).map(Number));
  const facts = { highestDatabase, modules: point.modules, usedMemoryBytes };
  // Replicas follow their primary in any case; a person has seen them in the plan.
  const report = await asOwnChange(context, 'restore', () =>
    streamAsPrimary({ dumpPath, target, home, facts, allow: { replicas: true } }, io),
  );
  return {
    figures: {
      restored: report.keys,
      kept: 0,
      replaced: report.replacedKeys,
      expired: Math.max(0, point.keys - report.keys),
      notSelected: 0,
      functionLibraries: point.functionLibraries,
      functionLibrariesPassedOver: 0,
      bytes: report.sizeBytes,
      byDatabase: point.keysByDatabase,
    },
  };
}

/**
 * A server that was restarted knows the fence's own user no more, until the watch of the fence has made it again: that
 * refusal goes away by itself, and nobody has to be asked about it.
 */
export function untilFencedAgain(error: unknown): unknown {
  if (!(error instanceof RewindError) || error.code !== 'REDIS_REFUSED_LOGIN') return error;
  return new RewindError('REDIS_UNREACHABLE', `The user that keys are put back as is not there: ${error.message}`, {
    next: 'Wait: it is made again within seconds of a restart of Redis.',
    cause: error,
  });
}

/** Who the keys are put back as: the product's own user while everybody else is fenced. */
export async function loginOf(
  { target, home }: InstanceContext,
  { instance, fenceId }: RestoreSubject,
): Promise<RedisTarget> {
  return fenceId === undefined ? target : ownLogin(target, { instance, fenceId, home });
}
