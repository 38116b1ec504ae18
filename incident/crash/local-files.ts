import { stat } from 'node:fs/promises';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { type LocalAof, readLocalAof } from './local-aof.ts';
import type { LocalSettings } from './local-settings.ts';

/** The dump that lies where the stopped server would load it. */
export interface LocalDump {
  readonly path: string;
  readonly state: 'missing' | 'whole' | 'damaged' | 'not-readable' | 'not-understood';
  readonly sizeBytes?: number;
  /** When the file was put there, ISO 8601. */
  readonly modifiedAt?: string;
  /** When its save began, by the dump's own `ctime`, ISO 8601: all that was written before is in it. */
  readonly savedAt?: string;
  readonly keys?: number;
  readonly keysByDatabase?: Readonly<Record<string, number>>;
  /** Of the replication history at the save, where the dump has it. */
  readonly replication?: { readonly id: string; readonly offset: number };
  /** Why it is not whole: code, words, byte offset. */
  readonly damage?: { readonly code: string; readonly message: string; readonly offset?: number };
}

/** What a stopped server has on its disk. Plain data without names of keys. */
export interface LocalFiles {
  readonly settings: LocalSettings;
  /** What it would load at its next start; `aof-missing`: AOF is on and there is none, so it would start EMPTY. */
  readonly loads: 'dump' | 'aof' | 'aof-missing' | 'nothing';
  readonly dump: LocalDump;
  readonly aof?: LocalAof;
  /** Since when the machine runs, ISO 8601: what was written before may not have reached the disk. */
  readonly machineUpSince: string;
  /** Up to when what it would load holds every write, with whose word that is; absent where it cannot be told. */
  readonly holdsUntil?: { readonly at: string; readonly source: string };
}

/**
 * Looks at what the stopped server would load. The dump is walked whole (counts, CRC-64); of an AOF the files are named
 * and its base is walked, the commands behind it are not replayed.
 */
export async function readLocalFiles(settings: LocalSettings, io: StepIO): Promise<LocalFiles> {
  const dump = await readDump(join(settings.dir, settings.dbfilename), io);
  const machineUpSince = new Date(Date.now() - uptime() * 1000).toISOString();
  if (!settings.appendonly) {
    const { savedAt } = dump;
    return {
      settings,
      machineUpSince,
      loads: dump.state === 'missing' ? 'nothing' : 'dump',
      dump,
      ...(savedAt ? { holdsUntil: { at: savedAt, source: 'the begin of the save that wrote dump.rdb' } } : {}),
    };
  }
  const aof = await readLocalAof(settings, (path) => readDump(path, io));
  return {
    settings,
    machineUpSince,
    loads: aof.form === 'missing' ? 'aof-missing' : 'aof',
    dump,
    aof,
    ...(aof.lastWriteAt
      ? { holdsUntil: { at: aof.lastWriteAt, source: 'the last write to the append-only file' } }
      : {}),
  };
}

/** One dump, walked. */
export async function readDump(path: string, io: StepIO): Promise<LocalDump> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) {
    if (found.code === 'ENOENT' || found.code === 'ENOTDIR') return { path, state: 'missing' };
    return { path, state: 'not-readable', damage: { code: found.code ?? 'RDB_READ_FAILED', message: found.message } };
  }
  const file = { path, sizeBytes: found.size, modifiedAt: found.mtime.toISOString() };
  try {
    const inspection = await inspectRdb(
      { path },
      { signal: io.signal, onProgress: (done, total) => io.onProgress({ phase: 'walk', done, total, unit: 'bytes' }) },
    );
    const ctime = Number(inspection.aux.ctime);
    const offset = Number(inspection.aux['repl-offset'] ?? Number.NaN);
    return {
      ...file,
      state: 'whole',
      ...(ctime > 0 ? { savedAt: new Date(ctime * 1000).toISOString() } : {}),
      keys: inspection.keys,
      keysByDatabase: Object.fromEntries(
        inspection.databases.filter(({ keys }) => keys > 0).map(({ db, keys }) => [String(db), keys]),
      ),
      ...(inspection.aux['repl-id'] && !Number.isNaN(offset)
        ? { replication: { id: inspection.aux['repl-id'], offset } }
        : {}),
    };
  } catch (error) {
    if (!(error instanceof RewindError) || error.code === 'RDB_CANCELLED' || error.code === 'RDB_READER_DIED')
      throw error;
    const offset = error.details.offset;
    return {
      ...file,
      state: states[error.code] ?? 'damaged',
      damage: { code: error.code, message: error.message, ...(typeof offset === 'number' ? { offset } : {}) },
    };
  }
}

/** A type of a newer server is no damage; a file that may not be read says nothing of its bytes. */
const states: Readonly<Record<string, LocalDump['state']>> = {
  RDB_TYPE_UNKNOWN: 'not-understood',
  RDB_VERSION_UNKNOWN: 'not-understood',
  RDB_STRING_TOO_LONG: 'not-understood',
  RDB_READ_FAILED: 'not-readable',
};
