import { open } from 'node:fs/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { parseHeader } from '../../rdb/magic.ts';
import { findRecords } from './find-records.ts';
import { type KeyRun, RunCollector } from './run-collector.ts';
import { type RdbForm, type Walked, walkFrom } from './walk-from.ts';

export interface Damage {
  /** Offset of the first byte that is wrong, as far as can be told; -1: somewhere, only the checksum tells. */
  readonly offset: number;
  readonly code: string;
  /** A sentence without key names. */
  readonly what: string;
}

export interface Span {
  readonly from: number;
  readonly to: number;
}

/** What can still be read of a dump, and what cannot. */
export interface RdbSurvey {
  readonly form: RdbForm;
  readonly sizeBytes: number;
  /** In the file's order; the first is the one to name. */
  readonly damages: readonly Damage[];
  readonly crc: 'ok' | 'disabled' | 'wrong' | 'not-reached';
  /** The dump's own AUX fields, as far as they could be read. */
  readonly aux: Readonly<Record<string, string>>;
  /** Stretches of whole records, in the file's order. */
  readonly runs: readonly KeyRun[];
  readonly keysBefore: number;
  readonly keysAfter: number;
  /** Keys that the dump says it held, where it does; what is missing is lost. */
  readonly keysExpected?: number;
  /** Bytes that are given up, records cut in two included. */
  readonly lost: readonly Span[];
  /** True where keys behind damage are in a database that had to be guessed: a change of it may be among what is lost. */
  readonly databaseGuessed: boolean;
  /** Function libraries' code. */
  readonly functions: readonly Buffer[];
  /** Data of modules that belongs to no key: it is not carried over. */
  readonly moduleAux: readonly string[];
  /** Offset behind the dump's last byte, where that was found: in a preamble the commands follow. */
  readonly end?: number;
  /** Kinds of values whose content could not be looked into (modules' values). */
  readonly undecoded: readonly string[];
}

export interface SurveyOptions {
  /** A file that begins with a dump and goes on with commands: the dump may end anywhere. */
  readonly followed?: boolean;
  /** Where the header cannot be read: what server wrote it, `7.0.15`. */
  readonly serverVersion?: string;
  /** `valkey` for versions that both forks have. */
  readonly serverName?: 'redis' | 'valkey';
}

/** So many places of damage are gone through; a file with more is not worth it. */
const mostDamages = 10_000;

/**
 * Reads a dump through damage: up to it, and on from where records begin again. Every value is decoded, so that one that
 * would end a server is not taken. A size in the file is never trusted.
 *
 * @throws RewindError RDB_READ_FAILED, RDB_CANCELLED; damage is no error here
 */
export async function surveyRdb(path: string, options: SurveyOptions, io: StepIO): Promise<RdbSurvey> {
  const { sizeBytes, header } = await readHeader(path);
  const damages: Damage[] = [];
  const lost: Span[] = [];
  const form = parseHeader(header, 0) ?? guessForm(options, await textOf(path));
  if (parseHeader(header, 0) === null) {
    damages.push({ offset: 0, code: 'RDB_NOT_A_DUMP', what: 'it does not begin as a dump begins' });
  }
  const collector = new RunCollector();
  let place = { offset: 9, db: 0 };
  let crc: RdbSurvey['crc'] = 'not-reached';
  let end: number | undefined;
  for (;;) {
    io.signal.throwIfAborted();
    const walked = await walkFrom(
      path,
      form,
      place,
      sizeBytes,
      (shift) => collector.visitor(shift, damages.length > 0),
      io.signal,
    );
    io.onProgress({
      phase: 'read',
      done: Math.max(0, walked.end ?? walked.errorOffset),
      total: sizeBytes,
      unit: 'bytes',
    });
    const ended = walked.end !== undefined && (options.followed || walked.end === sizeBytes);
    const summed = walked.crc === 'ok' || (walked.crc === 'disabled' && collector.complete);
    if (walked.end !== undefined && (ended || (summed && place.offset === 9))) {
      end = walked.end;
      crc = place.offset === 9 ? (walked.crc ?? 'not-reached') : 'wrong';
      if (damages.length === 0 && crc === 'wrong') damages.push(checksumWrong);
      if (!ended) damages.push(trailing(end));
      break;
    }
    const cut = collector.cutAt(walked.error, place.offset);
    const search = { path, form, to: sizeBytes, followed: options.followed ?? false, textKeys: collector.keysAreText };
    const next =
      damages.length + 1 >= mostDamages ? undefined : await findRecords(search, cut.searchFrom, cut.damagedRecord, io);
    damages.push(damageOf(walked, cut.from, next !== undefined));
    lost.push({ from: cut.from, to: next ?? sizeBytes });
    if (next === undefined) break;
    place = { offset: next, db: collector.db };
    collector.damaged();
  }
  const { runs, expected } = collector.finish();
  const count = (part: KeyRun['part']) => runs.reduce((sum, run) => sum + (run.part === part ? run.keys : 0), 0);
  return {
    form,
    sizeBytes,
    damages,
    crc,
    aux: collector.aux,
    runs,
    keysBefore: count('before'),
    keysAfter: count('after'),
    ...(expected === undefined ? {} : { keysExpected: expected }),
    lost,
    databaseGuessed: collector.databaseGuessed,
    functions: collector.functions,
    moduleAux: [...collector.moduleAux],
    ...(end === undefined ? {} : { end }),
    undecoded: [...collector.undecoded],
  };
}

const checksumWrong: Damage = {
  offset: -1,
  code: 'RDB_CHECKSUM_WRONG',
  what: 'all of it can be read, but its checksum does not fit: any value may be wrong, and which one cannot be told',
};

const trailing = (offset: number): Damage => ({
  offset,
  code: 'RDB_TRAILING_BYTES',
  what: `bytes follow the end of the dump at byte ${offset}; the dump itself is whole`,
});

function damageOf({ error, errorOffset, end }: Walked, givenUpFrom: number, goesOn: boolean): Damage {
  if (error === undefined) {
    const offset = (end ?? 0) - 9;
    return { offset, code: 'RDB_CORRUPT', what: `a mark of the dump's end at byte ${offset}, where it does not end` };
  }
  if (error.code === 'RDB_TRUNCATED' && goesOn) {
    const what = `a length at or behind byte ${givenUpFrom} leads beyond the end of the file`;
    return { offset: givenUpFrom, code: 'RDB_CORRUPT', what };
  }
  const offset = Math.max(errorOffset, givenUpFrom);
  return { offset, code: error.code, what: inWords(error, offset) };
}

/** The reader's words, with the offset in the file. */
function inWords(error: RewindError, offset: number): string {
  const said = error.message.replace(/^the dump is damaged at byte \d+: /, '');
  return `${said.replace(/ ?(at )?byte \d+( of the dump)?/, '').trim()} (byte ${offset})`;
}

async function readHeader(path: string): Promise<{ sizeBytes: number; header: Buffer }> {
  try {
    const file = await open(path, 'r');
    try {
      const header = Buffer.alloc(9);
      await file.read(header, 0, 9, 0);
      return { sizeBytes: (await file.stat()).size, header };
    } finally {
      await file.close();
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RewindError('RDB_READ_FAILED', `the dump cannot be read: ${reason}`, { cause });
  }
}

/** The beginning of the file, where the AUX fields name the server that wrote it. */
async function textOf(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(256), 0, 256, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** The header that this server's dumps have: by its version, the dump's own words first. */
export function guessForm(options: SurveyOptions, beginning = ''): RdbForm {
  const valkey = /valkey-ver.(\d+)\.(\d+)/s.exec(beginning);
  const redis = /redis-ver.(\d+)\.(\d+)/s.exec(beginning);
  const said = valkey ?? redis ?? /^()?(\d+)\.(\d+)/.exec(options.serverVersion ?? '');
  const [major, minor] = (said ?? []).slice(-2).map(Number);
  if (major === undefined || minor === undefined) return { magic: 'REDIS', version: 11 };
  if (valkey !== null || (redis === null && options.serverName === 'valkey')) {
    return major >= 9 ? { magic: 'VALKEY', version: 80 } : { magic: 'REDIS', version: 11 };
  }
  const release = major * 100 + minor;
  const known: readonly (readonly [number, number])[] = [
    [804, 13],
    [704, 12],
    [702, 11],
    [700, 10],
    [500, 9],
  ];
  return { magic: 'REDIS', version: known.find(([from]) => release >= from)?.[1] ?? 8 };
}
