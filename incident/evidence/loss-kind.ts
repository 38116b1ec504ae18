import type { Redis } from 'ioredis';
import type { StepIO } from '../../process/step-io.ts';
import type { RdbFile } from '../../rdb/source.ts';
import { parseInfo, redisTimeMs } from '../../redis/info.ts';
import { keysByDatabase } from '../crash/ask-server.ts';
import { keyCount } from '../crash/words.ts';
import type { CountsSince } from './command-counts.ts';
import { sampleKeys, whichExist } from './key-sample.ts';
import { type MissingPattern, missingPatterns } from './missing-patterns.ts';

/** One database: what the backup has and what is live. */
export interface DatabaseLoss {
  readonly db: number;
  /** In the backup, without those that have expired since. */
  readonly keysInBackup: number;
  readonly keysLive: number;
  readonly sampled: number;
  /** Of the sampled ones. */
  readonly missing: number;
}

export type LossKindName = 'flushall' | 'flushdb' | 'swapdb' | 'mass-delete' | 'not-a-loss';

/** What kind of loss it is, and what has to be put back. Plain data; of names of keys at most beginnings of many. */
export interface LossKind {
  readonly kind: LossKindName;
  /** Databases that lost keys. */
  readonly databases: readonly number[];
  /** Of a SWAPDB: which were exchanged. */
  readonly swapped?: readonly [number, number];
  readonly byDatabase: readonly DatabaseLoss[];
  /** Of a mass delete: what the missing keys have in common. */
  readonly patterns: readonly MissingPattern[];
  /** What a restore should take of the backup; empty: all of it. */
  readonly selection: { readonly db?: number; readonly match?: string };
  /** More of them where one selection cannot say it. */
  readonly furtherSelections: readonly { readonly db?: number; readonly match?: string }[];
  readonly sentences: readonly string[];
  readonly unknown: readonly string[];
}

/** A database counts as emptied when so many of its keys are gone: some may have been written again since. */
const EMPTIED = 0.9;
/** Below that share of missing keys it is an ordinary day: applications delete keys, too. */
const ORDINARY = 0.02;

/**
 * Compares what is live with a proven backup: counts by database, and a sample of the backup's keys by EXISTS. Reads only;
 * memory is bounded. Needs SELECT, EXISTS and INFO.
 *
 * @param dump the backup's dump, staged on this machine
 * @param since what was called since the backup, as {@link whoFlushed} found it
 */
export async function findLossKind(
  redis: Redis,
  dump: RdbFile,
  since: CountsSince | undefined,
  io: Pick<StepIO, 'signal'>,
): Promise<LossKind> {
  // A key that expires while we ask would look deleted.
  const aliveAt = (await redisTimeMs(redis)) + 60_000;
  const { sample, keys } = await sampleKeys(dump, aliveAt, { signal: io.signal });
  const live = keysByDatabase(parseInfo(await redis.info('keyspace')));
  const databases: (DatabaseLoss & { patterns: MissingPattern[] })[] = [];
  for (const [db, keysInBackup] of [...keys].sort(([a], [b]) => a - b)) {
    io.signal.throwIfAborted();
    const names = sample.get(db) ?? [];
    const exists = await whichExist(redis, db, names);
    const missing = exists.filter((each) => !each).length;
    const patterns = missingPatterns(names, exists);
    databases.push({ db, keysInBackup, keysLive: live[db] ?? 0, sampled: names.length, missing, patterns });
  }
  const swapped = mayHaveSwapped(since) ? await findSwap(redis, databases, sample) : undefined;
  await redis.select(0);
  return judgeLoss(databases, since, swapped);
}

/** Counters that reach back and know of no SWAPDB settle it: keys may be called alike in two databases. */
function mayHaveSwapped(since: CountsSince | undefined): boolean {
  return since === undefined || since.began === 'reset' || since.restarted || since.calls.swapdb !== undefined;
}

/** Two databases whose sampled keys are each in the other. */
async function findSwap(
  redis: Redis,
  databases: readonly DatabaseLoss[],
  sample: ReadonlyMap<number, readonly Buffer[]>,
): Promise<readonly [number, number] | undefined> {
  const emptied = databases.filter(isEmptied);
  const live = keysByDatabase(parseInfo(await redis.info('keyspace')));
  for (const { db, keysInBackup } of emptied) {
    for (const other of Object.keys(live).map(Number)) {
      if (other === db || (live[other] ?? 0) < keysInBackup * (1 - EMPTIED)) continue;
      // A database that still has its own keys was not exchanged.
      const held = databases.find((each) => each.db === other);
      if (held && !isEmptied(held)) continue;
      const names = sample.get(db) ?? [];
      const exists = await whichExist(redis, other, names);
      if (names.length > 0 && exists.filter(Boolean).length >= names.length * EMPTIED)
        return db < other ? [db, other] : [other, db];
    }
  }
  return undefined;
}

function isEmptied({ sampled, missing, keysLive, keysInBackup }: DatabaseLoss): boolean {
  if (keysInBackup === 0) return false;
  return sampled === 0 ? keysLive === 0 : missing >= sampled * EMPTIED;
}

/** Pure: what the figures mean. */
export function judgeLoss(
  databases: readonly (DatabaseLoss & { readonly patterns: readonly MissingPattern[] })[],
  since: CountsSince | undefined,
  swapped?: readonly [number, number],
): LossKind {
  const byDatabase = databases.map(({ patterns: _, ...figures }) => figures);
  const emptied = databases.filter(isEmptied);
  const held = databases.filter(({ keysInBackup }) => keysInBackup > 0);
  const thinned = databases.filter((each) => !isEmptied(each) && each.missing > Math.max(1, each.sampled * ORDINARY));
  const figures = held.map(
    ({ db, keysInBackup, keysLive, sampled, missing }) =>
      `Database ${db}: ${keyCount(keysInBackup)} in the backup, ${keysLive.toLocaleString('en-US')} live; of ${sampled} looked for ${missing} are missing.`,
  );
  const common = { byDatabase, patterns: [], furtherSelections: [] };
  if (swapped) {
    const [a, b] = swapped;
    return {
      ...common,
      kind: 'swapdb',
      databases: [a, b],
      swapped,
      selection: {},
      sentences: [
        `The databases ${a} and ${b} were exchanged (SWAPDB): nothing is lost, the keys of one are in the other. SWAPDB ${a} ${b} once more puts them back, without any restore, as long as the applications' writes since then may move with them.`,
        ...figures,
      ],
      unknown: [],
    };
  }
  if (emptied.length > 0) return flushed(emptied, held, since, { ...common, figures });
  if (thinned.length > 0) return deleted(thinned, { ...common, figures });
  return {
    ...common,
    kind: 'not-a-loss',
    databases: [],
    selection: {},
    sentences: [
      'The keys of the backup are there: as far as the sample shows, nothing was deleted beyond what an ordinary day deletes.',
      ...figures,
    ],
    unknown: ['whether values were changed: only names were looked for'],
  };
}

type Common = Pick<LossKind, 'byDatabase' | 'patterns' | 'furtherSelections'> & { readonly figures: readonly string[] };

function flushed(
  emptied: readonly DatabaseLoss[],
  held: readonly DatabaseLoss[],
  since: CountsSince | undefined,
  { figures, ...common }: Common,
): LossKind {
  const databases = emptied.map(({ db }) => db);
  const all = emptied.length === held.length;
  const { flushall = 0, flushdb = 0, del = 0, unlink = 0 } = since?.calls ?? {};
  // With keys in one database only both commands leave the same; the counters tell them apart.
  const kind: LossKindName = all && (held.length > 1 || flushall > 0 || flushdb === 0) ? 'flushall' : 'flushdb';
  const byDeletes =
    flushall === 0 && flushdb === 0 && del + unlink > 0 && since?.began !== 'reset' && !since?.restarted;
  const selections = kind === 'flushall' ? [] : databases.map((db) => ({ db }));
  return {
    ...common,
    kind,
    databases,
    selection: selections[0] ?? {},
    furtherSelections: selections.slice(1),
    sentences: [
      kind === 'flushall'
        ? `All ${held.length === 1 ? 'of its keys' : 'of its databases'} are gone, as after FLUSHALL.`
        : `${databases.length === 1 ? `Database ${databases[0]} is` : `The databases ${databases.join(', ')} are`} emptied, as after FLUSHDB; the others are not.`,
      ...(byDeletes ? ['Redis has counted no flush but deletes: the keys may have been deleted one by one.'] : []),
      ...figures,
    ],
    unknown: since === undefined ? ['which command it was: no counters were read'] : [],
  };
}

function deleted(
  thinned: readonly (DatabaseLoss & { readonly patterns: readonly MissingPattern[] })[],
  { figures, ...common }: Common,
): LossKind {
  const patterns = thinned.flatMap(({ patterns }) => patterns);
  const selections = thinned.flatMap(({ db, patterns: own }) =>
    own.length === 0 ? [{ db }] : own.map(({ match }) => ({ db, match })),
  );
  const explained = patterns.reduce((sum, { missing }) => sum + missing, 0);
  const missing = thinned.reduce((sum, each) => sum + each.missing, 0);
  return {
    ...common,
    kind: 'mass-delete',
    databases: thinned.map(({ db }) => db),
    patterns,
    selection: selections[0] ?? {},
    furtherSelections: selections.slice(1),
    sentences: [
      patterns.length > 0
        ? `Keys were deleted by their names: ${explained} of the ${missing} that are missing in the sample begin alike (${patterns.length} ${patterns.length === 1 ? 'pattern' : 'patterns'}).`
        : `Keys were deleted that have no beginning in common: ${missing} of the sample are missing.`,
      ...figures,
    ],
    unknown: [
      ...(explained < missing
        ? [`why ${missing - explained} more keys of the sample are missing: deleted by the application, or by somebody`]
        : []),
      'whether values were changed: only names were looked for',
    ],
  };
}
