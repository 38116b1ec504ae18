import { open } from 'node:fs/promises';
import type { AofCommand } from '../../aof/command.ts';
import { isKnownCommand } from '../../aof/command-names.ts';
import { scanAof } from '../../aof/scan.ts';
import type { AofProgress } from '../../aof/scanner.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { findCommands } from './find-commands.ts';
import { type Damage, type RdbSurvey, type Span, type SurveyOptions, surveyRdb } from './survey-rdb.ts';

/** Whole commands that follow each other, no transaction cut in two. */
export interface AofStretch {
  readonly from: number;
  readonly to: number;
  readonly commands: number;
  /** The database that is selected where it begins; behind damage the one before it, which may be wrong. */
  readonly db: number;
  readonly part: 'before' | 'after';
  /** The newest `#TS` in it, Unix seconds. */
  readonly newest?: number;
}

/** What can still be read of an append-only file, and what cannot. */
export interface AofSurvey {
  readonly sizeBytes: number;
  /** In the file's order; the first is the one to name. */
  readonly damages: readonly Damage[];
  /** The file's end is missing, and nothing else is wrong: a server cuts it off where it may. */
  readonly endMissing: boolean;
  /** A server would take the first damage for the file's end, and cut off all behind it. */
  readonly looksCutOff: boolean;
  /** Where the file can be cut: all before is whole. */
  readonly cut: number;
  readonly stretches: readonly AofStretch[];
  readonly commandsBefore: number;
  readonly commandsAfter: number;
  readonly newestBefore?: number;
  readonly newestAfter?: number;
  readonly lost: readonly Span[];
  /** True where a stretch behind damage begins in a database that had to be guessed. */
  readonly databaseGuessed: boolean;
  /** The dump that the file begins with. */
  readonly preamble?: RdbSurvey;
}

const mostDamages = 10_000;
/** Names that are not known: a renamed command or a module's comes more than once, a flipped bit only once. */
const mostUnknownNames = 1_000;

/**
 * Reads an append-only file through damage: up to it, and on from where commands begin again. Also damage that keeps the
 * form: a command whose name no server has, where that name comes only once.
 *
 * @throws RewindError AOF_READ_FAILED, AOF_CANCELLED, RDB_READ_FAILED, RDB_CANCELLED; damage is no error here
 */
export async function surveyAof(path: string, options: SurveyOptions, io: StepIO): Promise<AofSurvey> {
  const { sizeBytes, dump } = await look(path);
  const preamble = dump ? await surveyRdb(path, { ...options, followed: true }, io) : undefined;
  const begin = preamble === undefined ? 0 : preamble.end;
  if (preamble !== undefined && (begin === undefined || preamble.damages.length > 0)) {
    const after = begin === undefined ? undefined : await readThrough(path, begin, sizeBytes, io);
    const stretches = (after?.stretches ?? []).map((stretch) => ({ ...stretch, part: 'after' as const }));
    const damages = [...preamble.damages, ...(after?.damages ?? [])];
    return surveyOf(sizeBytes, damages, 0, stretches, [...preamble.lost, ...(after?.lost ?? [])], false, preamble);
  }
  const { damages, stretches, cut, lost, truncated } = await readThrough(path, begin ?? 0, sizeBytes, io);
  return surveyOf(sizeBytes, damages, cut, stretches, lost, truncated, preamble);
}

function surveyOf(
  sizeBytes: number,
  damages: readonly Damage[],
  cut: number,
  stretches: readonly AofStretch[],
  lost: readonly Span[],
  looksCutOff: boolean,
  preamble: RdbSurvey | undefined,
): AofSurvey {
  const sum = (part: AofStretch['part']) =>
    stretches.reduce((commands, stretch) => commands + (stretch.part === part ? stretch.commands : 0), 0);
  const newest = (part: AofStretch['part']) =>
    stretches.reduce<number | undefined>((latest, s) => (s.part === part ? (s.newest ?? latest) : latest), undefined);
  const newestBefore = newest('before');
  const newestAfter = newest('after');
  return {
    sizeBytes,
    damages,
    endMissing: looksCutOff && damages.length === 1 && damages[0]!.code === 'AOF_TRUNCATED',
    looksCutOff,
    cut,
    stretches,
    commandsBefore: sum('before'),
    commandsAfter: sum('after'),
    ...(newestBefore === undefined ? {} : { newestBefore }),
    ...(newestAfter === undefined ? {} : { newestAfter }),
    lost,
    databaseGuessed: stretches.some(({ part }) => part === 'after'),
    ...(preamble === undefined ? {} : { preamble }),
  };
}

interface ReadThrough {
  readonly damages: Damage[];
  readonly stretches: AofStretch[];
  readonly lost: Span[];
  readonly cut: number;
  readonly truncated: boolean;
}

async function readThrough(path: string, begin: number, sizeBytes: number, io: StepIO): Promise<ReadThrough> {
  const unknown = new UnknownNames();
  const first = await readStretches(path, begin, sizeBytes, (command) => unknown.look(command), io);
  const once = unknown.onlyOnce();
  if (once.size === 0) return first;
  return readStretches(path, begin, sizeBytes, (command) => refuse(command, once), io);
}

async function readStretches(
  path: string,
  begin: number,
  sizeBytes: number,
  look: (command: AofCommand) => void,
  io: StepIO,
): Promise<ReadThrough> {
  const damages: Damage[] = [];
  const stretches: AofStretch[] = [];
  const lost: Span[] = [];
  let truncated = false;
  let cut = begin;
  let place = { offset: begin, db: 0 };
  for (;;) {
    const part = damages.length === 0 ? 'before' : 'after';
    const stretch = await readStretch(path, place, sizeBytes, look, io);
    if (stretch.to > stretch.from) stretches.push({ ...stretch.taken, part });
    if (part === 'before') cut = stretch.to;
    if (stretch.error === undefined) break;
    const next =
      damages.length + 1 >= mostDamages
        ? undefined
        : await findCommands(path, Math.max(stretch.searchFrom, place.offset + 1), sizeBytes, io);
    if (part === 'before') truncated = stretch.error.code === 'AOF_TRUNCATED';
    damages.push(damageOf(stretch.error, stretch.searchFrom, next));
    lost.push({ from: stretch.to, to: next ?? sizeBytes });
    if (next === undefined) break;
    place = { offset: next, db: stretch.db };
  }
  return { damages, stretches, lost, cut, truncated };
}

function damageOf(error: RewindError, openAt: number, next: number | undefined): Damage {
  const offset = Number(error.details.offset);
  if (error.code === 'AOF_TRUNCATED' && next !== undefined) {
    const what = `a length in the command at byte ${openAt} leads beyond the end of the file`;
    return { offset: openAt, code: 'AOF_CORRUPT', what };
  }
  const what = error.message.replace(/^the append-only file is damaged at byte \d+: /, '');
  return { offset, code: error.code, what: `${what.replace(/ at byte \d+/, '')} (byte ${offset})` };
}

async function readStretch(
  path: string,
  place: { offset: number; db: number },
  sizeBytes: number,
  look: (command: AofCommand) => void,
  io: StepIO,
) {
  let from = place.offset;
  let db = place.db;
  /** Whole up to here, and what is known of it. */
  let to = place.offset;
  let selected = place.db;
  let commands = 0;
  let newest: number | undefined;
  let open = 0;
  let second: number | undefined;
  let behind = place.offset;
  let error: RewindError | undefined;
  try {
    await scanAof(
      { path },
      {
        timestamp: (seconds) => {
          second = seconds;
        },
        command: (command) => {
          look(command);
          behind = command.end;
          if (command.is('exec') && command.transactionAt < 0) {
            // The MULTI is lost, and with it the first half: what is left is no transaction.
            from = command.end;
            commands = 0;
            newest = undefined;
          } else open++;
          if (command.transactionAt >= 0 && !command.is('exec')) return;
          to = command.end;
          commands += from === command.end ? 0 : open;
          open = 0;
          if (second !== undefined && from !== command.end) newest = second;
          selected = command.is('select') ? Number(command.copyArgument(1)) : selected;
          if (from === command.end) db = selected;
        },
      },
      {
        from: place.offset,
        to: sizeBytes,
        db: place.db,
        signal: io.signal,
        onProgress: (done) => io.onProgress({ phase: 'read', done, total: sizeBytes, unit: 'bytes' }),
      },
    );
  } catch (thrown) {
    if (!(thrown instanceof RewindError) || thrown.retryable) throw thrown;
    error = thrown;
    const progress = thrown.details as unknown as Partial<AofProgress>;
    if (progress.db !== undefined) selected = progress.db;
  }
  const taken = { from, to, commands, db, ...(newest === undefined ? {} : { newest }) };
  return { from, to, taken, db: selected, error, searchFrom: behind };
}

class UnknownNames {
  readonly #names = new Map<string, { offset: number; times: number }>();

  look(command: AofCommand): void {
    if (command.held === 0) return;
    const start = command.argumentStart[0]!;
    const end = command.argumentEnd[0]!;
    if (isKnownCommand(command.bytes, start, end) || this.#names.size >= mostUnknownNames) return;
    const name = Buffer.from(command.bytes.subarray(start, Math.min(end, start + 64)))
      .toString('latin1')
      .toLowerCase();
    const seen = this.#names.get(name);
    if (seen === undefined) this.#names.set(name, { offset: command.start, times: 1 });
    else if (seen.offset !== command.start) seen.times++;
  }

  /** Offsets of the commands whose name comes only once and is none of a module's. */
  onlyOnce(): ReadonlySet<number> {
    const once = [...this.#names].filter(([name, { times }]) => times === 1 && !/^[a-z_]\w*\.[\w.]+$/.test(name));
    return new Set(once.map(([, { offset }]) => offset));
  }
}

function refuse(command: AofCommand, at: ReadonlySet<number>): void {
  if (!at.has(command.start)) return;
  throw new RewindError('AOF_CORRUPT', 'a command of a name that no server has', {
    details: { offset: command.start },
  });
}

async function look(path: string): Promise<{ sizeBytes: number; dump: boolean }> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(6), 0, 6, 0);
      const dump = /^(REDIS|VALKEY)/.test(buffer.toString('latin1', 0, bytesRead));
      return { sizeBytes: (await file.stat()).size, dump };
    } finally {
      await file.close();
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RewindError('AOF_READ_FAILED', `the append-only file cannot be read: ${reason}`, { cause });
  }
}
