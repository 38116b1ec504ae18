import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { basename, join } from 'node:path';
import { scanAof } from '../../aof/scan.ts';
import { readHeaderAt } from '../../archive/read/chain.ts';
import { findMoment } from '../../archive/read/find-moment.ts';
import type { Moment } from '../../archive/read/moment.ts';
import type { ArchivePlace } from '../../archive/read/records.ts';
import { namesOf, viewArchive } from '../../archive/read/timelines.ts';
import type { SegmentHeader } from '../../archive/segment.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { type FoundFile, findFiles } from './found-files.ts';
import type { PersistenceSettings } from './settings.ts';
import { type AofSurvey, surveyAof } from './survey-aof.ts';

/** Whole commands of a damaged server's file that the archive does not have. */
export interface TailPiece {
  /** Below the server's folder. */
  readonly path: string;
  readonly from: number;
  readonly to: number;
  readonly commands: number;
}

/** What the archive holds of a damaged server's data, and what on the disk follows from it. Plain data without a key's name. */
export interface ArchivedState {
  /** The archive's end. */
  readonly moment: Moment;
  /** In their order, without a break behind the moment. */
  readonly tail: readonly TailPiece[];
  /** Of what is restored, the last, ISO 8601; absent where it is the last write that there was. */
  readonly upTo?: string;
  /** Commands that can be read on the disk, and do not follow from what is restored. */
  readonly losesCommands: number;
  /** Sentences for a person. */
  readonly unknown: readonly string[];
}

/**
 * What of a server's data the archive gives back, together with what on the disk still follows from its end: all, where the
 * damage lies in what is archived.
 *
 * @param dir the server's folder, or a copy of it; only read
 * @throws as `findMoment`; AOF_READ_FAILED
 */
export async function findArchived(
  place: ArchivePlace,
  dir: string,
  settings: PersistenceSettings,
  io: StepIO,
): Promise<ArchivedState> {
  const moment = await findMoment(place, { kind: 'latest' }, { signal: io.signal });
  const disk = new DiskFiles(dir, (await findFiles(dir, settings)).files, settings, io);
  const begin = await archiveEndOnDisk(place, moment, disk, io);
  const upTo = new Date(moment.timeMs).toISOString();
  if ('not' in begin) {
    const losesCommands = await disk.commandsBehind();
    return { moment, tail: [], upTo, losesCommands, unknown: [begin.not] };
  }
  return followOn(moment, begin, disk);
}

/** Where in the server's files the archive ends: a file of `DiskFiles.data`, and the offset in it. */
type DiskPlace = { readonly index: number; readonly offset: number };

async function archiveEndOnDisk(
  place: ArchivePlace,
  moment: Moment,
  disk: DiskFiles,
  io: StepIO,
): Promise<DiskPlace | { readonly not: string }> {
  const leg = moment.legs.at(-1);
  if (!leg) {
    const [base] = disk.data;
    const sameBase = base?.role === 'base' && base.sizeBytes === moment.base.sizeBytes;
    if (!sameBase || !(await disk.isOrIsDamaged(0, 0, moment.base.sizeBytes, moment.base.sha256))) return notOnDisk;
    return { index: 1, offset: 0 };
  }
  const view = await viewArchive(place);
  const identity = view.timelines.get(leg.timeline)?.identity ?? '';
  const names = namesOf(view, leg.timeline);
  const headerAt = async (position: number) => (await readHeaderAt(place, names, identity, position, io.signal)).header;
  const last = await headerAt(leg.to - 1);
  const index = disk.data.findIndex(({ path, role }) => role === 'incr' && basename(path) === last.file.name);
  if (index < 0) return notOnDisk;
  const holds = ({ file, start, end, sha256 }: SegmentHeader) =>
    disk.isOrIsDamaged(index, file.offset, file.offset + end - start, sha256);
  if (!(await holds(last))) return notOnDisk;
  // What is damaged may be anything: the one before it has to be that of the archive.
  if (!(await disk.is(index, last)) && last.file.offset > 0) {
    const before = await headerAt(last.start - 1);
    if (before.file.name !== last.file.name || !(await holds(before))) return notOnDisk;
  }
  return { index, offset: last.file.offset + leg.to - last.start };
}

const notOnDisk = {
  not: 'The files on the disk do not go on from the archive’s end: what they have beyond it is not in this choice.',
};

async function followOn(moment: Moment, { index, offset }: DiskPlace, disk: DiskFiles): Promise<ArchivedState> {
  const tail: TailPiece[] = [];
  const unknown: string[] = [];
  let at = offset;
  for (let i = index; i < disk.data.length; i++) {
    const { path, sizeBytes } = disk.data[i] as FoundFile;
    if (sizeBytes === undefined) {
      unknown.push(`${path} is not there.`);
      return cutShort(moment, tail, unknown, undefined, await disk.commandsBehind(i + 1));
    }
    if (at > sizeBytes) {
      unknown.push(`${path} is shorter than what was archived of it: whether more was written is not known.`);
      if (i === disk.data.length - 1) return { moment, tail, losesCommands: 0, unknown };
      return cutShort(moment, tail, unknown, undefined, await disk.commandsBehind(i + 1));
    }
    const survey = await disk.survey(i);
    const stretch = survey.stretches.find(({ from, to }) => from <= at && at < to);
    const to = stretch?.to ?? at;
    if (to > at) tail.push({ path, from: at, to, commands: await disk.commandsIn(i, at, to) });
    const unfinished = i === disk.data.length - 1 && endsUnfinished(survey, to);
    if (to < sizeBytes && !unfinished) {
      const upTo = stretch?.newest === undefined ? undefined : new Date(stretch.newest * 1_000).toISOString();
      return cutShort(moment, tail, unknown, upTo, await disk.commandsBehind(i, to));
    }
    if (to < sizeBytes) unknown.push(`${path} ends in the middle of a command, which was never finished.`);
    at = 0;
  }
  return { moment, tail, losesCommands: 0, unknown };
}

/** Nothing but the beginning of a command is behind it. */
function endsUnfinished({ damages, stretches }: AofSurvey, at: number): boolean {
  return damages.at(-1)?.code === 'AOF_TRUNCATED' && stretches.every(({ to }) => to <= at);
}

function cutShort(
  moment: Moment,
  tail: readonly TailPiece[],
  unknown: readonly string[],
  upTo: string | undefined,
  losesCommands: number,
): ArchivedState {
  return { moment, tail, upTo: upTo ?? new Date(moment.timeMs).toISOString(), losesCommands, unknown };
}

/** The files with data, in the order of their load; each is surveyed once. */
class DiskFiles {
  readonly data: readonly FoundFile[];
  readonly #dir: string;
  readonly #settings: PersistenceSettings;
  readonly #io: StepIO;
  readonly #surveys = new Map<number, Promise<AofSurvey>>();

  constructor(dir: string, files: readonly FoundFile[], settings: PersistenceSettings, io: StepIO) {
    this.data = files.filter(({ role }) => role !== 'manifest');
    this.#dir = dir;
    this.#settings = settings;
    this.#io = io;
  }

  survey(index: number): Promise<AofSurvey> {
    const survey = this.#surveys.get(index) ?? surveyAof(this.#path(index), this.#settings, this.#io);
    this.#surveys.set(index, survey);
    return survey;
  }

  /** True where bytes [from, to) are those, or damage lies in them. */
  async isOrIsDamaged(index: number, from: number, to: number, sha256: string): Promise<boolean> {
    const { sizeBytes } = this.data[index] as FoundFile;
    if (sizeBytes === undefined) return false;
    // A file that was cut off has lost them.
    if (sizeBytes < to || (await this.#sha256(index, from, to)) === sha256) return true;
    const { damages, lost } = await this.survey(index);
    return (
      damages.some(({ offset }) => offset < 0 || (from <= offset && offset < to)) ||
      lost.some((span) => span.from < to && from < span.to)
    );
  }

  async is(index: number, { file, start, end, sha256 }: SegmentHeader): Promise<boolean> {
    const to = file.offset + end - start;
    const { sizeBytes = 0 } = this.data[index] as FoundFile;
    return sizeBytes >= to && (await this.#sha256(index, file.offset, to)) === sha256;
  }

  async commandsIn(index: number, from: number, to: number): Promise<number> {
    let commands = 0;
    const visitor = { command: () => void (commands += 1) };
    await scanAof({ path: this.#path(index) }, visitor, { from, to, signal: this.#io.signal });
    return commands;
  }

  /** Commands that can be read from a place on, in this file and those after it. */
  async commandsBehind(index = 0, offset = 0): Promise<number> {
    let commands = 0;
    for (let i = index; i < this.data.length; i++) {
      const { sizeBytes, role } = this.data[i] as FoundFile;
      if (sizeBytes === undefined || role === 'dump') continue;
      for (const stretch of (await this.survey(i)).stretches) {
        if (i > index || stretch.from >= offset) commands += stretch.commands;
      }
    }
    return commands;
  }

  async #sha256(index: number, from: number, to: number): Promise<string> {
    const hash = createHash('sha256');
    const bytes = createReadStream(this.#path(index), { start: from, end: to - 1, signal: this.#io.signal });
    for await (const chunk of bytes as AsyncIterable<Buffer>) hash.update(chunk);
    return hash.digest('hex');
  }

  #path = (index: number): string => join(this.#dir, (this.data[index] as FoundFile).path);
}

/** The same where the archive cannot say, with the sentence why. */
export async function archivedOrWhyNot(
  ...args: Parameters<typeof findArchived>
): Promise<{ readonly archived?: ArchivedState; readonly told?: string }> {
  try {
    return { archived: await findArchived(...args) };
  } catch (error) {
    if (!(error instanceof RewindError) || error.retryable) throw error;
    return { told: `The archive is no choice: ${error.message}` };
  }
}
