import type { FileRole } from './found-files.ts';
import type { Damage, Span } from './survey-rdb.ts';

/** What can be read of a file on one side of its first damage. */
export interface Readable {
  readonly keys?: number;
  readonly commands?: number;
  /** The newest `#TS`, ISO 8601: needs aof-timestamp-enabled. */
  readonly newest?: string;
}

/** What the server would do with a file at a start. `cut` changes the file: all behind the damage is gone then. */
export type ServerWould = 'load' | 'refuse' | 'cut' | 'start-empty';

export interface FileDiagnosis {
  /** Below the server's folder. */
  readonly path: string;
  readonly role: FileRole;
  readonly sizeBytes?: number;
  readonly modifiedAt?: string;
  readonly state: 'whole' | 'damaged' | 'missing';
  /** Absent where it is whole; `offset` -1: somewhere. */
  readonly damage?: Damage;
  /** All places, the first one too; at most 100. */
  readonly damages: readonly Damage[];
  readonly before: Readable;
  readonly after: Readable;
  readonly lost: readonly Span[];
  /** Keys that a dump says it holds. */
  readonly keysExpected?: number;
  /** When the dump was begun, by its server's clock. */
  readonly savedAt?: string;
  /** `checksum`: of a dump, as it was found. */
  readonly checksum?: 'ok' | 'disabled' | 'wrong' | 'not-reached';
  readonly serverWould: ServerWould;
  /** What the found server's own checker says, without names of keys. */
  readonly checker?: string;
  /** What cannot be known of what is read from it. */
  readonly notes: readonly string[];
  /** Where an append-only file can be cut: all before is whole. */
  readonly cutAt?: number;
}

/** Plain data without any key's name or value: it may stand in a history. */
export interface Diagnosis {
  readonly form: 'rdb' | 'aof-multi' | 'aof-single';
  /** The files that the server would load, in its order. */
  readonly files: readonly FileDiagnosis[];
  /** A dump beside an append-only file that the server would load instead. */
  readonly besides: readonly FileDiagnosis[];
  readonly damaged: boolean;
  readonly serverWould: ServerWould;
  /** One sentence on what a start would do. */
  readonly text: string;
}
