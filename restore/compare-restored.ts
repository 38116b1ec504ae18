import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { InstanceContext } from '../backup/instance-context.ts';
import type { StepIO } from '../process/step-io.ts';
import { withRedis } from '../redis/connection.ts';
import { compareCounts, type ExpectedCounts } from './compare/compare-counts.ts';
import { compareAll, compareSample } from './compare/compare-keys.ts';
import type { CompareCursor, CompareFigures, CompareTask } from './compare/compare-task.ts';
import { comparisonInWords } from './compare/in-words.ts';
import { selectionHere } from './key-list.ts';
import { conflictsFile, type Migration } from './migrate-keys.ts';
import { type RestoreSubject, restoreDirectory } from './restore-subject.ts';
import { shiftOf } from './stage-for-restore.ts';
import { restoreFolder, stageDump } from './staged-dump.ts';

/** What came of looking at what a restore has put there. */
export interface Comparison {
  readonly kind: 'sample' | 'every-key';
  readonly figures: CompareFigures;
  /** Why it cannot be what the backup holds; absent where nothing contradicts it. */
  readonly contradiction?: string;
  readonly tells: readonly string[];
  /** Object in the repository with the names of the keys that differ. */
  readonly file?: string;
}

export interface CompareRequest {
  readonly kind: Comparison['kind'];
  readonly migration: Migration;
  /** Name in the repository of the list of keys that were live and stayed. */
  readonly conflicts?: string;
  /** True where others may write since the keys were put: what differs then was changed, or is wrong. */
  readonly othersMayWrite: boolean;
  /** How many keys each database is to have: for the first look after the keys were put. */
  readonly counts?: Pick<ExpectedCounts, 'before' | 'put' | 'expiredKeysBefore'>;
}

/** Keys a second while everybody works again, where the configuration does not say. */
const CALM_RATE = 20_000;
/** Where others write, more differences than this share are no longer their doing. */
const CHANGED_AT_MOST = 0.1;

/** Compares keys of the dump with the server that they were put into: a sample, or all of them at a limited rate. */
export async function compareRestored(
  context: InstanceContext,
  subject: RestoreSubject,
  { kind, migration, conflicts, othersMayWrite, counts }: CompareRequest,
  io: StepIO & { resumeFrom?: CompareCursor; onCursor(cursor: CompareCursor): void },
): Promise<Comparison> {
  const { home, repository, target, policy } = context;
  const { request, point, by, plannedAtMs } = migration;
  const folder = restoreFolder(home, subject.restoreId);
  const dumpPath = await stageDump(repository, folder, point, io);
  const suffix = `${kind}${subject.attempt === undefined ? '' : `-${subject.attempt}`}.jsonl`;
  const task: Omit<CompareTask, 'sample'> = {
    target,
    dumpPath,
    selection: await selectionHere(repository, folder, request, io),
    ttl: request.ttl,
    shiftMs: shiftOf(request, point, plannedAtMs),
    namesFile: conflicts && (await conflictsHere(context, join(folder, conflictsFile(subject)), conflicts)),
    by,
    othersMayWrite,
    differencesFile: join(folder, `differences-${suffix}`),
  };
  const counted = counts && (await withRedis(target, (redis) => compareCounts(redis, { ...counts, othersMayWrite })));
  const figures =
    kind === 'sample'
      ? await compareSample(task, seedOf(subject.restoreId), io)
      : await compareAll(
          { ...task, keysPerSecond: othersMayWrite ? (policy.limits.restoreKeysPerSecond ?? CALM_RATE) : undefined },
          io,
        );
  const size = (await stat(task.differencesFile).catch(() => undefined))?.size ?? 0;
  const file = `${restoreDirectory(subject)}differences-${suffix}`;
  if (size > 0) {
    await repository.putFile(file, { path: task.differencesFile }, { sizeBytes: size, signal: io.signal });
  }
  return {
    kind,
    figures,
    contradiction: counted?.result === 'contradicted' ? counted.detail : contradictionIn(figures),
    tells: [...(counted ? [counted.detail] : []), ...comparisonInWords(figures)],
    ...(size > 0 ? { file } : {}),
  };
}

function contradictionIn({ same, differing, missing, changedSince, goneSince }: CompareFigures): string | undefined {
  if (differing + missing > 0) return `${differing} keys differ from the backup and ${missing} are missing.`;
  const changed = changedSince + goneSince;
  if (changed <= (same + changed) * CHANGED_AT_MOST) return undefined;
  return `${changed} of ${same + changed} keys are not what was put back: more than others can have changed meanwhile.`;
}

/** The list of kept keys is in the restore's folder; an agent on another machine fetches it. */
async function conflictsHere({ repository }: InstanceContext, path: string, key: string): Promise<string> {
  if (!(await stat(path).catch(() => undefined))) {
    await pipeline(await repository.read(key), createWriteStream(path, { mode: 0o600 }));
  }
  return path;
}

const seedOf = (text: string): number => createHash('sha256').update(text).digest().readUInt32LE(0);
