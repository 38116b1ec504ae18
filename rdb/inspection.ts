import type { StreamDetail } from './content-digest.ts';
import type { RdbMagic } from './magic.ts';
import type { DecodedType } from './types.ts';

/** What one database of the dump holds. */
export interface DatabaseCount {
  readonly db: number;
  /** Keys walked. */
  readonly keys: number;
  /** Of these, keys with an expiry. */
  readonly keysWithExpiry: number;
  /** What the dump itself claims by RESIZEDB (Redis 3.2 and newer); absent where it has none. */
  readonly resizeDbKeys?: number;
  readonly resizeDbExpires?: number;
}

/**
 * One key, chosen by chance, with the digest of its content. The key's name is data: keep it out of logs, histories
 * and reports.
 */
export interface SampledKey {
  readonly db: number;
  readonly key: Buffer;
  readonly type: DecodedType;
  /** The type byte in the dump. */
  readonly typeCode: number;
  /** Unix time in milliseconds; absent: never. */
  readonly expireAtMs?: number;
  /** Hex digest of type, expiry and elements, see content-digest.ts. */
  readonly digest: string;
  /** How much of a stream the digest covers: the other side has to be digested alike (streams only). */
  readonly streamDetail?: StreamDetail;
  /** Byte range of the key's whole record in the dump: [start, end). */
  readonly start: number;
  readonly end: number;
}

/** A value that was walked but whose content is not decoded: a module's, an array. */
export interface Undecodable {
  readonly type: string;
  readonly typeCode: number;
  readonly offset: number;
}

/** What one pass over a dump finds. Plain data: it goes from one process to another and into a manifest. */
export interface RdbInspection {
  readonly magic: RdbMagic;
  /** RDB format version, 11 for REDIS0011. */
  readonly version: number;
  readonly sizeBytes: number;
  /** SHA-256 of all bytes, hex. */
  readonly sha256: string;
  /** `disabled`: the server wrote no checksum (rdbchecksum no, or a version before 5). A wrong one is an error. */
  readonly crc: 'ok' | 'disabled';
  /** AUX fields as the dump has them: redis-ver or valkey-ver, ctime (Unix seconds), used-mem, repl-id, aof-base, … */
  readonly aux: Readonly<Record<string, string>>;
  readonly databases: readonly DatabaseCount[];
  /** All keys of all databases. */
  readonly keys: number;
  /** Keys whose expiry lies before the dump's own ctime: a server that loads the dump drops them. */
  readonly keysExpiredAtSave: number;
  /**
   * False where a database has another number of keys than its RESIZEDB says; true where none has one. The number of
   * expiries in it decides nothing: not every server keeps it exact.
   */
  readonly resizeDbMatches: boolean;
  /** Keys by type, as the command TYPE names it; a module's type by its own name. */
  readonly types: Readonly<Record<string, number>>;
  readonly functions: readonly FunctionLibrary[];
  /** Bodies of cached scripts, which dumps before Redis 7 carry. */
  readonly scripts: number;
  /** Modules whose keys or auxiliary data the dump holds: they must be there for it to load. */
  readonly modules: readonly { readonly name: string; readonly keys: number; readonly aux: number }[];
  /** Bytes of the largest value as it stands in the dump, and where its record begins; 0 and -1 with no keys. */
  readonly largestValueBytes: number;
  readonly largestKeyOffset: number;
  /** The first of the values that were walked but not decoded. */
  readonly undecodable: readonly Undecodable[];
  /** How many there are in all. */
  readonly undecodableCount: number;
  readonly sample?: readonly SampledKey[];
}

/** A function library in the dump: its name and a digest, never its code. */
export interface FunctionLibrary {
  /** From the `#!engine name=…` line; empty where it has none. */
  readonly name: string;
  readonly engine: string;
  /** SHA-256 of the library's code, hex. */
  readonly sha256: string;
  readonly bytes: number;
}

export interface InspectOptions {
  /** Decode every value too, so that damage inside one is found even where the checksum is disabled. */
  readonly decode?: boolean;
  /** Choose `count` keys by chance, reproducibly by `seed`, and digest their content. */
  readonly sample?: SampleOptions;
  readonly signal?: AbortSignal;
  /** The file is still being written: its end counts as such only when this has settled. Not for a stream. */
  readonly growsUntil?: Promise<unknown>;
  /** Called now and then with the bytes read so far and the size of the file. */
  readonly onProgress?: (bytes: number, total: number) => void;
}

export interface SampleOptions {
  readonly count: number;
  readonly seed: number;
  /**
   * Unix ms: leave out keys and hash fields that expire at or before it, so that a server that loads the dump a little
   * later still has what was sampled.
   */
  readonly aliveAt?: number;
}
