import type { BackupEntry } from '../../repository/catalogue.ts';
import type { LocalFiles } from './local-files.ts';
import { keyCount, timeWords } from './words.ts';

/** How what the stopped server would load stands against the newest proven backup. */
export interface LocalVerdict {
  readonly state: 'good' | 'missing' | 'starts-empty' | 'empty' | 'damaged' | 'older' | 'fewer-keys' | 'not-known';
  readonly sentence: string;
  /** The backup that it was compared with. */
  readonly backup?: string;
}

/** Fewer keys than this share of the newest proven backup are no ordinary day (the default of `backup.flagBelow`). */
const FEWER = 0.5;

/** The newest backup that was proven; one that is flagged only where there is no other. */
export function newestProven(backups: readonly BackupEntry[]): BackupEntry | undefined {
  const proven = backups.filter(({ state }) => state === 'verified').sort((a, b) => (a.time < b.time ? 1 : -1));
  return proven.find(({ flagged }) => !flagged) ?? proven[0];
}

/** Compares by what is known: presence, wholeness, time and number of keys. Never calls good what was not looked at. */
export function compareLocal(local: LocalFiles, backups: readonly BackupEntry[], fewer = FEWER): LocalVerdict {
  const backup = newestProven(backups);
  const verdict = judge(local, backup, fewer);
  return backup ? { ...verdict, backup: backup.id } : verdict;
}

function judge(local: LocalFiles, backup: BackupEntry | undefined, fewer: number): LocalVerdict {
  switch (local.loads) {
    case 'nothing':
      return {
        state: 'missing',
        sentence: `${local.dump.path} is not there: the server would start empty.`,
      };
    case 'aof-missing':
      return { state: 'starts-empty', sentence: startsEmpty(local) };
    case 'dump':
      return judgeDump(local, backup, fewer);
    case 'aof':
      return judgeAof(local, backup, fewer);
  }
}

/** With appendonly yes Redis does not look at dump.rdb, whatever is in it. */
function startsEmpty({ dump, aof, settings }: LocalFiles): string {
  const parts = aof?.unnamedFiles.length ?? 0;
  const left = [
    ...(dump.keys ? [`${settings.dbfilename} with ${keyCount(dump.keys)} is there and would not be loaded`] : []),
    ...(parts > 0 ? [`${parts} parts of an append-only file lie there without a manifest`] : []),
  ];
  return `appendonly is on and its manifest is missing: the server would start EMPTY${left.map((each) => `; ${each}`).join('')}.`;
}

function judgeDump({ dump, settings }: LocalFiles, backup: BackupEntry | undefined, fewer: number): LocalVerdict {
  const name = settings.dbfilename;
  const { state, keys = 0, savedAt, damage } = dump;
  if (state === 'damaged') {
    const where = damage?.offset === undefined ? '' : ` at byte ${damage.offset}`;
    return {
      state: 'damaged',
      sentence: `${name} is damaged${where} (${damage?.code}): the server would not start from it.`,
    };
  }
  if (state !== 'whole') {
    const why =
      state === 'not-readable' ? 'cannot be read by the agent' : 'is of a form that this version does not understand';
    return {
      state: 'not-known',
      sentence: `${name} ${why} (${damage?.code}): what the server would load is not known.`,
    };
  }
  const what = `${name} holds ${keyCount(keys)}${savedAt ? `, saved ${timeWords(savedAt)}` : ''}`;
  if (!backup) return { state: 'good', sentence: `${what}; there is no proven backup to compare it with.` };
  const other = `the newest proven backup (${timeWords(backup.time)}) ${keyCount(backup.keys)}`;
  if (keys === 0 && backup.keys > 0) return { state: 'empty', sentence: `${what}, ${other}.` };
  if (savedAt !== undefined && seconds(savedAt) < seconds(backup.time)) {
    return { state: 'older', sentence: `${what}: older than ${other.replace(') ', ') with ')}.` };
  }
  if (keys < backup.keys * fewer) {
    return { state: 'fewer-keys', sentence: `${what}, ${other}: it may itself show the disaster.` };
  }
  return { state: 'good', sentence: `${what}, ${other}: the local file is the newer one.` };
}

function judgeAof({ aof }: LocalFiles, backup: BackupEntry | undefined, fewer: number): LocalVerdict {
  const { sizeBytes = 0, lastWriteAt, base, missingFiles = [], manifestDamage } = aof ?? {};
  if (manifestDamage !== undefined) {
    return {
      state: 'damaged',
      sentence: `The manifest of the append-only file is damaged (${manifestDamage}): the server would not start from it.`,
    };
  }
  if (missingFiles.length > 0) {
    return {
      state: 'damaged',
      sentence: `The append-only file lacks ${missingFiles.length} of the files that its manifest names: the server would not start from it.`,
    };
  }
  if (base && base.state === 'damaged') {
    const where = base.damage?.offset === undefined ? '' : ` at byte ${base.damage.offset}`;
    return {
      state: 'damaged',
      sentence: `The base of the append-only file is damaged${where} (${base.damage?.code}): the server would not start from it.`,
    };
  }
  const written = lastWriteAt ? `, last written to ${timeWords(lastWriteAt)}` : '';
  const held = base?.keys === undefined ? '' : `; its base holds ${keyCount(base.keys)}`;
  const what = `The append-only file has ${sizeBytes} bytes${written}${held}; the commands in it were not replayed`;
  // An AOF of the same data is longer than a dump: one that is much shorter holds much less.
  if (backup && sizeBytes < backup.sizeBytes * fewer) {
    return {
      state: 'fewer-keys',
      sentence: `${what}. It is shorter than the dump of the newest proven backup (${backup.sizeBytes} bytes, ${keyCount(backup.keys)}).`,
    };
  }
  return { state: 'good', sentence: `${what}.` };
}

/** A dump's ctime has whole seconds. */
const seconds = (time: string): number => Math.floor(Date.parse(time) / 1000);
