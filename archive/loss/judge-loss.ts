import { followDefaults } from '../follow/follow-options.ts';
import { keysOfSample, type ServerSample } from './server-sample.ts';

/**
 * - `flush`: FLUSHALL or FLUSHDB
 * - `swap`: SWAPDB that left a database without what it had
 * - `mass-delete`: very many keys by DEL or UNLINK within seconds
 * - `came-back-empty`, `came-back-with-less`: another process, and what the one before had is not there
 * - `older`: it was started from an older file: what the archive has behind that is not there
 * - `shrank`: much less than within the last hour, and nothing that was counted explains it
 */
export const lossKinds = [
  'flush',
  'swap',
  'mass-delete',
  'came-back-empty',
  'came-back-with-less',
  'older',
  'shrank',
] as const;
export type LossKind = (typeof lossKinds)[number];

/** What is gone, by the server's own counts. */
export interface LossFound {
  readonly kind: LossKind;
  /** Upper case, where one is known: `FLUSHALL`. */
  readonly command?: string;
  readonly keysBefore: number;
  readonly keysNow: number;
  readonly keysLost: number;
  /** That lost keys, ascending. */
  readonly databases: readonly number[];
  /** When it was all there the last time, Unix ms. */
  readonly goodMs: number;
}

export interface LossLimits {
  /** So many keys, and this share of all, … */
  readonly massKeys: number;
  readonly massShare: number;
  /** … within so long, in ms, are a mass removal. */
  readonly massMs: number;
  /** Shrunk to less than this share … */
  readonly shrunkTo: number;
  /** … within so long, in ms. */
  readonly shrinkMs: number;
}

export const lossLimits: Omit<LossLimits, 'shrunkTo'> = {
  massKeys: followDefaults.massKeys,
  massShare: followDefaults.massShare,
  massMs: followDefaults.massMs,
  shrinkMs: 3_600_000,
};

/** A sample, and how many keys went without an explanation since the watch began, up to it. */
export interface SeenSample extends ServerSample {
  readonly unexplained: number;
  /** Where the archive was right before it. */
  readonly end?: { readonly timeline: number; readonly position: number };
}

/** What else is known at this moment. */
export interface Circumstances {
  /** What is out of service: see {@link outOfService}. */
  readonly swappedOut: ReadonlyMap<string, number>;
  /** The server said that something was flushed. */
  readonly flushTold: boolean;
  /** The file has a removal of very many keys. */
  readonly massInFile: boolean;
}

/** How many keys went between two samples of one process that no expiry, eviction, pop or rename explains. */
export function unexplainedBetween(
  before: ServerSample,
  now: ServerSample,
  deployed: ReadonlyMap<string, number> = new Map(),
): number {
  if (before.runId !== now.runId) return 0;
  const gone = keysOfSample(before) - keysOfSample(now) - grown(before.went, now.went);
  const byDeployment = [...deployed.values()].reduce((sum, each) => sum + each, 0);
  return Math.max(0, gone - byDeployment - grown(before.taken, now.taken));
}

/**
 * Decides whether the newest sample shows a loss. By its effect: a command that took nothing is none.
 *
 * @param seen ascending; the last one is judged against those before it
 */
export function judgeLoss(
  seen: readonly SeenSample[],
  about: Circumstances,
  limits: LossLimits,
): LossFound | undefined {
  const now = seen.at(-1);
  const before = seen.at(-2);
  if (!now || !before || !now.primary || !before.primary) return undefined;
  if (before.runId !== now.runId) return anotherProcess(before, now, limits);
  return (
    flushed(before, now, about, limits) ??
    swapped(before, now, limits) ??
    removed(seen, now, about, limits) ??
    shrunk(seen, now, limits)
  );
}

/** Counters begin anew with the process, or by CONFIG RESETSTAT. */
function grown(before: number, now: number): number {
  return now >= before ? now - before : now;
}

function anotherProcess(before: SeenSample, now: SeenSample, { massShare }: LossLimits): LossFound | undefined {
  const [keysBefore, keysNow] = [keysOfSample(before), keysOfSample(now)];
  const lost = keysBefore - keysNow - now.went - now.taken;
  if (lost < 1 || lost < massShare * keysBefore) return undefined;
  const command = now.flushall > 0 ? 'FLUSHALL' : now.flushdb > 0 ? 'FLUSHDB' : undefined;
  const kind = command ? 'flush' : keysNow === 0 ? 'came-back-empty' : 'came-back-with-less';
  return found(kind, before, now, lost, databasesWithLess(before, now, 1), command);
}

function flushed(
  before: SeenSample,
  now: SeenSample,
  { swappedOut, flushTold }: Circumstances,
  { shrunkTo }: LossLimits,
): LossFound | undefined {
  if (grown(before.flushall, now.flushall) > 0) {
    return lossOfFlush(before, now, Object.keys(before.keys).map(Number), 'FLUSHALL');
  }
  if (isFlushdb(before, now)) {
    const shrunken = databasesWithLess(before, now, shrunkTo);
    return lossOfFlush(
      before,
      now,
      shrunken.filter((database) => !swappedOut.has(String(database))),
      'FLUSHDB',
    );
  }
  // A command under another name (rename-command), or counters that were reset in that moment.
  const gone = unexplainedBetween(before, now, swappedOut);
  if (!flushTold || gone < (1 - shrunkTo) * keysOfSample(before) || gone < 1) return undefined;
  return found('flush', before, now, gone, databasesWithLess(before, now, shrunkTo));
}

/** Which database it was is known for certain only from the file. */
export const isFlushdb = (before: ServerSample, now: ServerSample): boolean =>
  before.runId === now.runId && grown(before.flushdb, now.flushdb) > 0;

/** @param before from before the flush @returns undefined where there was nothing to be taken */
export function lossOfFlush(
  before: ServerSample,
  now: ServerSample,
  databases: readonly number[],
  command: string,
): LossFound | undefined {
  const lost = databases.reduce((sum, database) => sum + (before.keys[database] ?? 0), 0);
  return lost > 0 ? found('flush', before, now, lost, databases, command) : undefined;
}

/**
 * A SWAPDB as deployments use it puts about as much in the place of what it takes away. The lower of two numbers is the one
 * that serves: what goes from there, and is in the other now, is missed.
 */
function swapped(before: SeenSample, now: SeenSample, { shrunkTo }: LossLimits): LossFound | undefined {
  if (grown(before.swapdb, now.swapdb) === 0) return undefined;
  const missed = databasesWithLess(before, now, shrunkTo).filter((database) => {
    const had = before.keys[database] ?? 0;
    const isThere = ([other, keys]: [string, number]) =>
      Number(other) > database && keys > (before.keys[other] ?? 0) && keys >= shrunkTo * had;
    return Object.entries(now.keys).some(isThere);
  });
  if (missed.length === 0) return undefined;
  const lost = missed.reduce((sum, each) => sum + (before.keys[each] ?? 0) - (now.keys[each] ?? 0), 0);
  return found('swap', before, now, lost, missed, 'SWAPDB');
}

/**
 * Databases whose data is out of service, and whose flush is the end of a deployment: those that a SWAPDB has put there
 * earlier, and those that one puts there between two samples: what a lower number has now is what it had.
 *
 * @returns of each, how many of its keys went between the two
 */
export function outOfService(
  before: ServerSample,
  now: ServerSample,
  earlier: ReadonlySet<string>,
  shrunkTo: number,
): Map<string, number> {
  const gone = new Map<string, number>();
  if (before.runId !== now.runId) return gone;
  const [had, has] = [(database: string) => before.keys[database] ?? 0, (database: string) => now.keys[database] ?? 0];
  for (const database of earlier) gone.set(database, Math.max(0, had(database) - has(database)));
  if (grown(before.swapdb, now.swapdb) === 0) return gone;
  for (const high of Object.keys(before.keys)) {
    const low = Object.keys(now.keys).find(
      (each) => Number(each) < Number(high) && isNear(has(each), had(high)) && has(each) >= shrunkTo * had(each),
    );
    if (low !== undefined) gone.set(high, Math.max(0, had(low) + had(high) - has(low) - has(high)));
  }
  return gone;
}

/** As near as two counts are of one database that is written to meanwhile. */
const isNear = (a: number, b: number): boolean => Math.abs(a - b) <= 100 + 0.05 * Math.max(a, b);

function removed(
  seen: readonly SeenSample[],
  now: SeenSample,
  { massInFile }: Circumstances,
  { massMs, massShare, massKeys }: LossLimits,
): LossFound | undefined {
  // Where nobody looked for a while the file tells that it was within seconds.
  const previous = seen.at(-2) as SeenSample;
  const from = massInFile ? Math.min(now.atMs - massMs, previous.atMs) : now.atMs - massMs;
  const top = highest(seen, now, from);
  if (!top) return undefined;
  const lost = lostSince(top, now);
  if (lost < massKeys || lost < massShare * keysOfSample(top)) return undefined;
  const isRemoval = massInFile || grown(top.removals, now.removals) > 0;
  return found(isRemoval ? 'mass-delete' : 'shrank', top, now, lost, databasesWithLess(top, now, 1));
}

function shrunk(
  seen: readonly SeenSample[],
  now: SeenSample,
  { shrinkMs, shrunkTo, massKeys }: LossLimits,
): LossFound | undefined {
  // What was seen last counts also after a longer time without a look.
  const top = highest(seen, now, now.atMs - shrinkMs) ?? (seen.at(-2) as SeenSample);
  const lost = lostSince(top, now);
  if (lost < massKeys || lost < (1 - shrunkTo) * keysOfSample(top)) return undefined;
  return found('shrank', top, now, lost, databasesWithLess(top, now, 1));
}

function highest(seen: readonly SeenSample[], now: SeenSample, fromMs: number): SeenSample | undefined {
  const within = seen.filter(({ atMs, runId }) => atMs >= fromMs && runId === now.runId).slice(0, -1);
  return within.reduce<SeenSample | undefined>(
    (best, each) => (best && keysOfSample(best) > keysOfSample(each) ? best : each),
    undefined,
  );
}

/** What is not there any more; keys that came back, or others in their place, count for it. */
function lostSince(top: SeenSample, now: SeenSample): number {
  return Math.min(now.unexplained - top.unexplained, keysOfSample(top) - keysOfSample(now));
}

/** Databases that have less than this share of what they had. */
function databasesWithLess(before: ServerSample, now: ServerSample, share: number): number[] {
  return Object.entries(before.keys)
    .filter(([database, keys]) => (now.keys[database] ?? 0) < share * keys)
    .map(([database]) => Number(database))
    .sort((a, b) => a - b);
}

function found(
  kind: LossKind,
  before: ServerSample,
  now: ServerSample,
  keysLost: number,
  databases: readonly number[],
  command?: string,
): LossFound {
  return {
    kind,
    ...(command === undefined ? {} : { command }),
    keysBefore: keysOfSample(before),
    keysNow: keysOfSample(now),
    keysLost,
    databases: [...databases].sort((a, b) => a - b),
    goodMs: before.atMs,
  };
}
