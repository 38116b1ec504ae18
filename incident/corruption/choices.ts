import type { BackupEntry } from '../../repository/catalogue.ts';
import { archiveChoice } from './archive-choice.ts';
import type { ArchivedState } from './archived-state.ts';
import type { Diagnosis, FileDiagnosis } from './diagnosis.ts';

/** One way out, with what it loses. */
export interface CorruptionChoice {
  /**
   * `backup:<id>`; `aof-until-damage`: all commands up to the damage; `base-and-later`: the damaged part skipped, and
   * on behind it; `salvage`: the keys that can be read out of the damaged dump (with an append-only file, and all
   * readable commands after it); `dump-beside`: the dump that lies beside the append-only file; `archive`: the state as the
   * archive has it, and what on the disk follows from that.
   */
  readonly id: string;
  /** What it is, for a person. */
  readonly text: string;
  /** What it loses, for a person. */
  readonly loses: string;
  /** Keys that will be there, where that can be known before it is made. */
  readonly keys?: number;
  readonly losesKeys?: number;
  readonly losesCommands?: number;
  /** At most: from the moment that it goes back to, to the last write that is known of. */
  readonly losesSeconds?: number;
  /** What could not be known, a sentence each. */
  readonly unknown: readonly string[];
}

/**
 * The ways out of damage side by side, the least loss first: by the share of keys that is lost, then by time. Pure. A
 * proven backup is always among them where there is one; one that failed a check or is gone never is, and one that is not
 * proven or is flagged says so.
 *
 * @param entries the instance's backups, in any order
 * @param now when nothing says when the last write was
 * @param archived where the instance has an archive: of two that lose the same it comes first, for nothing in it is guessed
 */
export function choicesOf(
  diagnosis: Diagnosis,
  entries: readonly BackupEntry[],
  now: Date,
  archived?: ArchivedState,
): CorruptionChoice[] {
  const lastWriteMs = lastWrite(diagnosis, now);
  const choices = [
    ...(archived === undefined ? [] : [archiveChoice(archived, diagnosis, lastWriteMs)]),
    ...(diagnosis.form === 'rdb' ? salvageOfDump(diagnosis, lastWriteMs) : ofAppendOnly(diagnosis, lastWriteMs)),
    ...dumpBeside(diagnosis, lastWriteMs),
    ...ofBackups(entries, diagnosis, lastWriteMs),
  ];
  return choices.sort((a, b) => byLoss(a, b, keysThatWere(diagnosis)));
}

/** Data ends where the append-only file was last written; a dump says nothing of what came after it. */
function lastWrite({ form, files }: Diagnosis, now: Date): number {
  if (form === 'rdb') return now.getTime();
  const times = files.flatMap(({ role, modifiedAt }) =>
    role === 'manifest' || !modifiedAt ? [] : [Date.parse(modifiedAt)],
  );
  return times.length === 0 ? now.getTime() : Math.min(now.getTime(), Math.max(...times));
}

function keysThatWere({ files }: Diagnosis): number | undefined {
  return files.find(({ keysExpected }) => keysExpected !== undefined)?.keysExpected;
}

/** Small differences in keys are nothing against hours; a tenth of the keys is much against any time. */
const shares = [0.001, 0.01, 0.1, 0.5];

function byLoss(a: CorruptionChoice, b: CorruptionChoice, keys: number | undefined): number {
  const bucket = ({ losesKeys }: CorruptionChoice) => {
    const share = losesKeys === undefined || !keys ? 0 : losesKeys / keys;
    return shares.findLastIndex((limit) => share > limit);
  };
  const infinite = Number.POSITIVE_INFINITY;
  return (
    bucket(a) - bucket(b) ||
    (a.losesSeconds ?? infinite) - (b.losesSeconds ?? infinite) ||
    (a.losesCommands ?? infinite) - (b.losesCommands ?? infinite) ||
    (a.losesKeys ?? 0) - (b.losesKeys ?? 0)
  );
}

function salvageOfDump({ files }: Diagnosis, lastWriteMs: number): CorruptionChoice[] {
  const [dump] = files;
  const keys = (dump?.before.keys ?? 0) + (dump?.after.keys ?? 0);
  if (dump?.state !== 'damaged' || keys === 0) return [];
  const losesKeys = dump.keysExpected === undefined ? undefined : Math.max(0, dump.keysExpected - keys);
  const losesSeconds = secondsSince(dump.savedAt, lastWriteMs);
  const lost = losesKeys === undefined ? 'keys that nobody can count' : `${losesKeys} of ${dump.keysExpected} keys`;
  return [
    {
      id: 'salvage',
      text: `A new dump of the ${keys} keys that can be read out of ${dump.path} (${dump.before.keys} before the damage, ${dump.after.keys} behind it).`,
      loses: `${lost}, and ${sinceSave(dump.savedAt, losesSeconds)}`,
      keys,
      ...(losesKeys === undefined ? {} : { losesKeys }),
      ...(losesSeconds === undefined ? {} : { losesSeconds }),
      unknown: dump.notes,
    },
  ];
}

function ofAppendOnly(diagnosis: Diagnosis, lastWriteMs: number): CorruptionChoice[] {
  const data = diagnosis.files.filter(({ role }) => role !== 'manifest');
  const at = data.findIndex(({ state }) => state !== 'whole');
  const damaged = data[at];
  const manifestBad = diagnosis.files.some(({ role, state }) => role === 'manifest' && state !== 'whole');
  if (damaged === undefined || manifestBad) return [];
  const dumpDamaged = at === 0 && damaged.before.keys !== undefined && damaged.cutAt === 0;
  const notes = data.flatMap(({ path, notes }) => notes.map((note) => `${path}: ${note}`));
  const later = data.slice(at + 1);
  const behind = commandsOf([damaged], 'after') + commandsOf(later, 'before') + commandsOf(later, 'after');
  if (dumpDamaged) return salvageOfBase(damaged, behind, notes, lastWriteMs);
  const choices: CorruptionChoice[] = [];
  if (damaged.role === 'incr' || (damaged.cutAt ?? 0) > 0) {
    const reached = newestOf(data.slice(0, at), damaged);
    const losesSeconds = secondsSince(reached, lastWriteMs);
    const where =
      damaged.state === 'missing'
        ? `before ${damaged.path}, which is not there`
        : `${damaged.path}, byte ${damaged.cutAt}`;
    choices.push({
      id: 'aof-until-damage',
      text: `The append-only files up to the damage (${where}): the state at that moment, complete.`,
      loses: `everything after ${reached ?? 'that moment'}: ${behind} commands that can be read and those in the damage`,
      losesCommands: behind,
      ...(losesSeconds === undefined ? {} : { losesSeconds }),
      unknown: reached === undefined ? [...notes, noSeconds] : notes,
    });
  }
  if (behind > 0) {
    const lostBytes = data.reduce(
      (sum, { lost }) => sum + lost.reduce((bytes, { from, to }) => bytes + to - from, 0),
      0,
    );
    const missing = data.filter(({ state }) => state === 'missing').length;
    choices.push({
      id: 'base-and-later',
      text: `The append-only files without what is damaged: all before it and ${behind} commands behind it.`,
      loses: `the commands in ${lostBytes} damaged bytes${missing === 0 ? '' : ` and in ${missing} missing files`}; what came later acts on values that miss them`,
      losesCommands: 0,
      losesSeconds: 0,
      unknown: [
        ...notes,
        'Writes behind the damage that build on earlier ones (INCR, APPEND, LPUSH, DEL) give other values than there were: which keys is not known.',
      ],
    });
  }
  return choices;
}

const noSeconds =
  'The files carry no seconds (aof-timestamp-enabled is no): how much time lies between the damage and the last write is not known.';

function salvageOfBase(
  base: FileDiagnosis,
  behind: number,
  notes: readonly string[],
  lastWriteMs: number,
): CorruptionChoice[] {
  const keys = (base.before.keys ?? 0) + (base.after.keys ?? 0);
  if (keys === 0) return [];
  const losesKeys = base.keysExpected === undefined ? undefined : Math.max(0, base.keysExpected - keys);
  const lost =
    losesKeys === undefined ? 'keys that nobody can count' : `${losesKeys} of ${base.keysExpected} keys of the base`;
  return [
    {
      id: 'salvage',
      text: `The ${keys} keys that can be read out of ${base.path}, and the ${behind} commands after it.`,
      loses: `${lost}; commands on these give other values than there were`,
      ...(losesKeys === undefined ? {} : { losesKeys }),
      losesCommands: 0,
      ...(lastWriteMs > 0 ? { losesSeconds: 0 } : {}),
      unknown: notes,
    },
  ];
}

function dumpBeside({ besides }: Diagnosis, lastWriteMs: number): CorruptionChoice[] {
  const [dump] = besides;
  if (dump?.state !== 'whole') return [];
  const losesSeconds = secondsSince(dump.savedAt, lastWriteMs);
  return [
    {
      id: 'dump-beside',
      text: `${dump.path}, which lies beside the append-only file and is whole: ${dump.before.keys} keys.`,
      loses: sinceSave(dump.savedAt, losesSeconds),
      keys: dump.before.keys,
      ...(losesSeconds === undefined ? {} : { losesSeconds }),
      unknown: ['It is whole, and no server has loaded it yet.'],
    },
  ];
}

function ofBackups(entries: readonly BackupEntry[], diagnosis: Diagnosis, lastWriteMs: number): CorruptionChoice[] {
  const newestFirst = [...entries].sort((a, b) => (a.time < b.time ? 1 : -1));
  const usable = newestFirst.filter(({ state }) => state === 'verified' || state === 'unproven');
  const proven = usable.find(({ state, flagged }) => state === 'verified' && flagged === undefined);
  const newer = usable.filter(({ time }) => proven === undefined || time > proven.time);
  // Of those that are doubted only the newest of each kind: a list of fifty helps nobody.
  const unproven = newer.find(({ state, flagged }) => state === 'unproven' && flagged === undefined);
  const flagged = newer.find((entry) => entry.flagged !== undefined);
  const were = keysThatWere(diagnosis);
  return [proven, unproven, flagged].flatMap((entry) => {
    if (entry === undefined) return [];
    const losesSeconds = secondsSince(entry.time, lastWriteMs);
    const doubts = [
      ...(entry.state === 'unproven' ? [`It is not proven: ${entry.reason ?? 'no server has loaded it'}.`] : []),
      ...(entry.flagged === undefined ? [] : [`It is flagged: ${entry.flagged}`]),
    ];
    const difference =
      were === undefined || were <= entry.keys
        ? ''
        : ` (it holds ${were - entry.keys} keys fewer than the damaged dump did)`;
    return [
      {
        id: `backup:${entry.id}`,
        text: `The ${entry.state === 'verified' ? 'proven' : 'unproven'} backup of ${entry.time}: ${entry.keys} keys.`,
        loses: `what was written after ${entry.time}${difference}`,
        keys: entry.keys,
        ...(losesSeconds === undefined ? {} : { losesSeconds }),
        unknown: doubts,
      },
    ];
  });
}

function commandsOf(files: readonly FileDiagnosis[], side: 'before' | 'after'): number {
  return files.reduce((sum, file) => sum + (file[side].commands ?? 0), 0);
}

/** The second that the files up to the damage have reached. */
function newestOf(before: readonly FileDiagnosis[], damaged: FileDiagnosis): string | undefined {
  if (damaged.before.newest !== undefined) return damaged.before.newest;
  if ((damaged.before.commands ?? 0) > 0) return undefined;
  const last = before.at(-1);
  return last?.before.newest ?? (last?.role === 'incr' ? last.modifiedAt : last?.savedAt);
}

function secondsSince(time: string | undefined, lastWriteMs: number): number | undefined {
  return time === undefined ? undefined : Math.max(0, Math.round((lastWriteMs - Date.parse(time)) / 1000));
}

function sinceSave(savedAt: string | undefined, seconds: number | undefined): string {
  return savedAt === undefined
    ? 'what was written after it was saved, which it does not tell'
    : `what was written after ${savedAt} (${seconds} s)`;
}
