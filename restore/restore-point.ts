import { setTimeout as sleep } from 'node:timers/promises';
import { archiveDirectory } from '../archive/layout.ts';
import { findMoment, type MomentAsked } from '../archive/read/find-moment.ts';
import type { Moment } from '../archive/read/moment.ts';
import type { ArchivePlace } from '../archive/read/records.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { type CataloguedBackup, listBackups } from '../repository/catalogue.ts';
import type { Repository } from '../repository/repository.ts';

/** A backup that keys can be taken from. */
export interface RestorePoint {
  readonly id: string;
  /** ISO 8601: what was written before it is in there. */
  readonly time: string;
  readonly state: 'verified' | 'unproven';
  readonly flagged?: string;
  /** Its objects in the repository. */
  readonly dumpKey: string;
  readonly serverFileKey?: string;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly keys: number;
  readonly keysByDatabase: Readonly<Record<string, number>>;
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string };
  readonly rdb: { readonly magic: 'REDIS' | 'VALKEY'; readonly version: number };
  readonly modules: readonly string[];
  readonly functionLibraries: number;
  /** Sentences on what was passed over in choosing it, and why. */
  readonly passedOver: readonly string[];
}

/** A moment of the archive: it has to be laid down, or made a backup, before keys can be taken from it. */
export interface ArchivePoint {
  readonly moment: Moment;
}

/** `to` where it means a moment: a position, a time, `before-flush`, `latest`; undefined for the id of a backup. */
export function momentAsked(to: string): MomentAsked | undefined {
  if (to === 'latest' || to === 'before-flush') return { kind: to };
  if (/^\d{1,16}$/.test(to)) return { kind: 'position', position: Number(to) };
  const timeMs = momentOf(to);
  return timeMs === undefined ? undefined : { kind: 'time', timeMs };
}

export interface FindPointOptions {
  /** Of a backup: only those whose save began earlier, ISO 8601. */
  readonly before?: string;
  /** Of `before-flush` in the archive: the loss is not older, ISO 8601. One that is not shipped yet is waited for. */
  readonly lossNotBefore?: string;
  readonly timeline?: number;
  readonly signal?: AbortSignal;
}

/** What was written is in the archive within seconds, or nobody ships it, in milliseconds. */
const shippedWithinMs = 20_000;

/**
 * What `to` means, a backup or a moment of the archive. With an archive `latest` is its end, unless a proven backup is
 * newer, and `before-flush` the state right before its newest destructive command; where it cannot say, the newest proven
 * backup is taken, as without one.
 *
 * @param options.timeline default: the newest that holds the moment
 * @throws those of `findRestorePoint` and of `findMoment`
 */
export async function findPoint(
  repository: Repository,
  instance: string,
  to: string,
  options: FindPointOptions = {},
): Promise<RestorePoint | ArchivePoint> {
  const asked = momentAsked(to);
  if (!asked || !(await hasArchive(repository, instance))) {
    return findRestorePoint(repository, instance, to, options.before);
  }
  try {
    const moment = await momentOfLoss({ repository, instance }, asked, options);
    const newer = asked.kind === 'latest' ? await provenSince(repository, instance, moment.timeMs) : undefined;
    return newer ?? { moment };
  } catch (error) {
    const noMoment = error instanceof RewindError && cannotSay.has(error.code);
    if (!noMoment || asked.kind === 'time' || asked.kind === 'position') throw error;
    const point = await findRestorePoint(repository, instance, to, options.before);
    return { ...point, passedOver: [`The archive: ${error.message}`, ...point.passedOver] };
  }
}

/** An archive that was switched off, or a dataset that nobody writes to: a later backup has all that is in it, and more. */
async function provenSince(
  repository: Repository,
  instance: string,
  timeMs: number,
): Promise<RestorePoint | undefined> {
  const point = await findRestorePoint(repository, instance, 'latest').catch((error) => {
    if (error instanceof RewindError && error.code === 'RESTORE_NOTHING_PROVEN') return undefined;
    throw error;
  });
  if (!point || point.flagged || Date.parse(point.time) <= timeMs) return undefined;
  const note = `The archive: its end, of ${new Date(timeMs).toISOString()}, is older than this backup.`;
  return { ...point, passedOver: [note, ...point.passedOver] };
}

/** The flush that is meant may have happened just now: its segment is waited for. */
async function momentOfLoss(
  place: ArchivePlace,
  asked: MomentAsked,
  { timeline, signal, lossNotBefore }: FindPointOptions,
): Promise<Moment> {
  const destroyedNotBeforeMs = lossNotBefore === undefined ? undefined : Date.parse(lossNotBefore);
  for (const deadline = Date.now() + shippedWithinMs; ; ) {
    try {
      return await findMoment(place, asked, { timeline, signal, destroyedNotBeforeMs });
    } catch (error) {
      const isNotThere = error instanceof RewindError && error.code === 'ARCHIVE_NOTHING_DESTRUCTIVE';
      if (!isNotThere || destroyedNotBeforeMs === undefined || Date.now() > deadline) throw error;
    }
    await sleep(500, undefined, { signal });
  }
}

/** Nothing of it can be restored, or nothing was destroyed as far as it knows; damage and gaps are not passed over. */
const cannotSay = new Set<string>(['ARCHIVE_EMPTY', 'ARCHIVE_NOTHING_DESTRUCTIVE']);

async function hasArchive(repository: Repository, instance: string): Promise<boolean> {
  for await (const _ of repository.list(archiveDirectory(instance))) return true;
  return false;
}

/**
 * Finds the backup that `to` means. `latest` (and `before-flush`, with the time of the loss) is the newest that was proven
 * and shows no loss itself; an id means that one, also unproven or flagged, because a person chose it.
 *
 * @param before only backups whose save began earlier, ISO 8601
 * @throws BACKUP_UNKNOWN, BACKUP_UNUSABLE, RESTORE_NOTHING_PROVEN, RESTORE_MOMENT_NEEDS_ARCHIVE
 */
export async function findRestorePoint(
  repository: Repository,
  instance: string,
  to: string,
  before?: string,
): Promise<RestorePoint> {
  const backups = await listBackups(repository, instance, { all: true });
  return to === 'latest' || to === 'before-flush'
    ? newestProven(instance, backups, before)
    : byId(instance, backups, to);
}

function byId(instance: string, backups: readonly CataloguedBackup[], id: string): RestorePoint {
  const found = backups.find((backup) => backup.id === id);
  if (found) {
    if (found.state === 'failed' || found.state === 'expired' || !found.manifest) {
      const why = found.reason ?? 'a check contradicted it';
      throw new RewindError('BACKUP_UNUSABLE', `${id} is ${found.state}: ${why}.`);
    }
    return pointOf(found, []);
  }
  const moment = momentOf(id);
  if (moment === undefined) {
    throw new RewindError('BACKUP_UNKNOWN', `${instance} has no backup ${JSON.stringify(id.slice(0, 64))}.`);
  }
  const proven = backups.filter(isProven);
  const earlier = proven.find(({ time }) => Date.parse(time) <= moment);
  const later = proven.findLast(({ time }) => Date.parse(time) > moment);
  throw new RewindError(
    'RESTORE_MOMENT_NEEDS_ARCHIVE',
    `${new Date(moment).toISOString()} lies between backups: ${earlier ? `before it ${earlier.id} (${earlier.time})` : 'none before it'}, ${later ? `after it ${later.id} (${later.time})` : 'none after it'}.`,
  );
}

function newestProven(
  instance: string,
  backups: readonly CataloguedBackup[],
  before: string | undefined,
): RestorePoint {
  const passedOver: string[] = [];
  for (const backup of backups) {
    if (before !== undefined && Date.parse(backup.time) >= Date.parse(before)) {
      passedOver.push(`${backup.id} was begun after ${before}`);
    } else if (backup.flagged && backup.state === 'verified') {
      passedOver.push(`${backup.id} is flagged: ${backup.flagged}`);
    } else if (!isProven(backup)) {
      passedOver.push(`${backup.id} is ${backup.state}${backup.reason ? `: ${backup.reason}` : ''}`);
    } else {
      return pointOf(backup, passedOver.slice(0, 20));
    }
  }
  throw new RewindError(
    'RESTORE_NOTHING_PROVEN',
    `${instance} has no proven backup${before ? ` from before ${before}` : ''}${passedOver.length > 0 ? ` (${passedOver.slice(0, 5).join('; ')})` : ''}.`,
  );
}

const isProven = ({ state, flagged, manifest }: CataloguedBackup): boolean =>
  state === 'verified' && !flagged && manifest !== undefined;

function momentOf(text: string): number | undefined {
  return /^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text)) ? Date.parse(text) : undefined;
}

function pointOf(backup: CataloguedBackup, passedOver: readonly string[]): RestorePoint {
  const manifest = backup.manifest!;
  return {
    id: backup.id,
    time: backup.time,
    state: backup.state as 'verified' | 'unproven',
    flagged: backup.flagged,
    dumpKey: `${backup.directory}${manifest.dump.file}`,
    serverFileKey: manifest.serverFile && `${backup.directory}${manifest.serverFile.file}`,
    sizeBytes: manifest.dump.sizeBytes,
    sha256: manifest.dump.sha256,
    keys: manifest.keys.total,
    keysByDatabase: manifest.keys.byDatabase,
    server: { name: manifest.server.name, version: manifest.server.version },
    rdb: manifest.rdb,
    modules: manifest.modules,
    functionLibraries: manifest.functionLibraries,
    passedOver,
  };
}
