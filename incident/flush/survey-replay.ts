import { createWriteStream } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { AofCommand } from '../../aof/command.ts';
import type { Moment } from '../../archive/read/moment.ts';
import type { ArchivePlace } from '../../archive/read/records.ts';
import { namesOf, readEvents, viewArchive } from '../../archive/read/timelines.ts';
import { goOn, readWhatFollowed } from '../../archive/read/what-followed.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { keyLine } from '../../restore/compare/key-line.ts';
import { loginOf, untilFencedAgain } from '../../restore/migrate-keys.ts';
import type { RestorePoint } from '../../restore/restore-point.ts';
import { type RestoreSubject, restoreDirectory } from '../../restore/restore-subject.ts';
import { restoreFolder, stageDump } from '../../restore/staged-dump.ts';
import { DestructiveRanges, type LeftOut, type MassDelete } from './destructive-ranges.ts';
import { type FenceMark, isMark, writeMark } from './fence-mark.ts';
import { type RelativeFigures, RelativeWrites } from './relative-writes.ts';

/** History without one command, found: what a replay would be made of. Plain data without a key's name. */
export interface ReplaySurvey {
  /** The state now, as it were without what is left out. */
  readonly moment: Moment;
  readonly leftOut: readonly LeftOut[];
  /** Commands that were written since, but those. */
  readonly commands: number;
  readonly relative: RelativeFigures;
  /** Name in the repository of the list of their keys; absent where there are none. */
  readonly relativeFile?: string;
  /** Commands behind the cut of an earlier survey, but what expires by itself. */
  readonly writtenSince: number;
}

/** What was written is in the archive within seconds, or nobody ships it. */
const shippedWithinMs = 60_000;
/** Places that are left out at most: a list of them goes through histories. */
const mostPlaces = 5_000;

/**
 * Reads what was written after a moment, up to now, while nobody else may write: a mark of our own is written, and waited for
 * in the archive, so that nothing that was acknowledged before it can be missing. Finds what is to be left out, and which
 * writes act on old values without it.
 *
 * @param before the moment as a backup: which keys were there
 * @param earlierCut position up to which an earlier survey read
 * @throws FLUSH_REPLAY_MARK_REFUSED, FLUSH_REPLAY_NOTHING_TO_OMIT, FLUSH_REPLAY_TOO_SCATTERED; those of
 *   `readWhatFollowed` and `stageDump`
 */
export async function surveyReplay(
  context: InstanceContext,
  subject: RestoreSubject,
  { moment, before, earlierCut }: { moment: Moment; before: RestorePoint; earlierCut?: number },
  io: StepIO,
): Promise<ReplaySurvey> {
  const { repository, policy, home } = context;
  const place: ArchivePlace = { repository, instance: moment.instance };
  const mark = await writeMark(await loginOf(context, subject)).catch((error: unknown) => {
    throw untilFencedAgain(error);
  });
  const found = new Survey(mark, await massDeleteAt(place, moment), earlierCut);
  const withinMs = policy.archive ? shippedWithinMs : 0;
  await readWhatFollowed(place, moment, found, { withinMs, signal: io.signal });
  const { ranges, relative } = found;
  if (ranges.ranges.length === 0) {
    throw new RewindError(
      'FLUSH_REPLAY_NOTHING_TO_OMIT',
      `The archive of ${moment.instance} has no destructive command behind position ${moment.position}.`,
    );
  }
  if (ranges.ranges.length > mostPlaces) {
    throw new RewindError(
      'FLUSH_REPLAY_TOO_SCATTERED',
      `What would be left out stands in ${ranges.ranges.length} places between other writes; ${mostPlaces} can be.`,
    );
  }
  const folder = restoreFolder(home, subject.restoreId);
  if (!relative.isEmpty) {
    const path = await stageDump(repository, folder, before, io);
    const key = (entry: { db: number; copyKey(): Buffer }) => {
      relative.wasThere(entry.db, entry.copyKey());
      return null;
    };
    await walkRdb({ path }, { key }, { signal: io.signal });
  }
  const file = `relative-writes-${found.cut}.jsonl`;
  const relativeFile = await storeNames(
    context,
    relative,
    join(folder, file),
    `${restoreDirectory(subject)}${file}`,
    io,
  );
  return {
    moment: await goOn(place, moment, { position: found.cut, timeMs: mark.timeMs }, ranges.ranges),
    leftOut: ranges.leftOut,
    commands: found.commands,
    relative: relative.figures,
    ...(relativeFile === undefined ? {} : { relativeFile }),
    writtenSince: found.writtenSince,
  };
}

class Survey {
  readonly ranges: DestructiveRanges;
  readonly relative = new RelativeWrites();
  readonly #mark: FenceMark;
  readonly #earlierCut: number;
  commands = 0;
  writtenSince = 0;
  /** Where the mark begins. */
  cut = -1;

  constructor(mark: FenceMark, mass: MassDelete | undefined, earlierCut = Number.POSITIVE_INFINITY) {
    this.ranges = new DestructiveRanges(mass);
    this.#mark = mark;
    this.#earlierCut = earlierCut;
  }

  enough(): boolean {
    return this.cut >= 0;
  }

  command(command: AofCommand): void {
    if (this.cut >= 0) return;
    if (isMark(command)) {
      if (isMark(command, this.#mark.key)) this.cut = command.transactionAt < 0 ? command.start : command.transactionAt;
      return;
    }
    if (command.is('multi') || command.is('exec') || command.is('select')) return;
    // While everybody is fenced only keys whose time has come are deleted.
    if (command.start >= this.#earlierCut && !command.is('del') && !command.is('unlink')) this.writtenSince += 1;
    const emptied = this.ranges.emptiedBy(command);
    if (emptied !== undefined) {
      this.relative.emptied(emptied);
      return;
    }
    this.commands += 1;
    this.relative.command(command);
  }
}

/** Where the moment is the one before a mass delete: from where to where that went. */
async function massDeleteAt(place: ArchivePlace, moment: Moment): Promise<MassDelete | undefined> {
  const view = await viewArchive(place);
  const { events } = namesOf(view, moment.timeline);
  const next = events.find(({ kind, position }) => kind === 'destructive' && position >= moment.position);
  const [event] = next ? await readEvents(view, moment.timeline, [next]) : [];
  if (!event?.until || !(event.command === 'DEL' || event.command === 'UNLINK')) return undefined;
  return { from: moment.position, to: event.until.position };
}

/** @returns undefined where there are none */
async function storeNames(
  { repository }: InstanceContext,
  relative: RelativeWrites,
  path: string,
  key: string,
  io: StepIO,
): Promise<string | undefined> {
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  const lines = function* () {
    for (const { db, name, commands } of relative.told()) yield keyLine(db, name, { commands });
  };
  await pipeline(Readable.from(lines()), createWriteStream(path, { mode: 0o600 }), { signal: io.signal });
  const { size } = await stat(path);
  if (size === 0) return undefined;
  await repository.putFile(key, { path }, { sizeBytes: size, signal: io.signal });
  return key;
}
