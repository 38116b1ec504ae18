import type { RdbInspection } from '../rdb/inspect.ts';
import type { DumpOrigin } from './servers.ts';

/**
 * What the reader found in a dump, small enough for a history and without a key's name: what a proof has to confirm and
 * a manifest has to say.
 */
export interface DumpFacts {
  /** False where the reader could not read to the end: then no count here is one. */
  readonly walked: boolean;
  readonly magic: 'REDIS' | 'VALKEY';
  readonly rdbVersion: number;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly origin: DumpOrigin;
  /** Second (the server's clock) at which the save began; absent in dumps of servers before 3.2. */
  readonly ctime?: number;
  /** Memory that the data took in the server that wrote it, in bytes; 0 where the dump does not say. */
  readonly usedMemoryBytes: number;
  readonly replicationId?: string;
  readonly replicationOffset?: number;
  readonly keys: number;
  readonly keysByDatabase: Readonly<Record<string, number>>;
  readonly highestDatabase: number;
  readonly keysWithExpiry: number;
  readonly types: Readonly<Record<string, number>>;
  readonly functionLibraries: number;
  readonly modules: readonly string[];
  /** Kinds of values that the reader passed over without decoding them. */
  readonly undecoded: readonly string[];
}

/** What a proof compares with; a manifest has all of it, so that a backup can be proven years later. */
export type ProvableFacts = Pick<
  DumpFacts,
  | 'walked'
  | 'sha256'
  | 'origin'
  | 'usedMemoryBytes'
  | 'modules'
  | 'keys'
  | 'keysWithExpiry'
  | 'highestDatabase'
  | 'functionLibraries'
>;

export function factsOf(inspection: RdbInspection): DumpFacts {
  const { aux } = inspection;
  const keysByDatabase = Object.fromEntries(inspection.databases.map(({ db, keys }) => [String(db), keys]));
  return {
    walked: true,
    magic: inspection.magic,
    rdbVersion: inspection.version,
    sizeBytes: inspection.sizeBytes,
    sha256: inspection.sha256,
    origin: originOf(aux),
    ctime: numeric(aux.ctime),
    usedMemoryBytes: numeric(aux['used-mem']) ?? 0,
    replicationId: aux['repl-id'],
    replicationOffset: numeric(aux['repl-offset']),
    keys: inspection.keys,
    keysByDatabase,
    highestDatabase: Math.max(0, ...inspection.databases.map(({ db }) => db)),
    keysWithExpiry: inspection.databases.reduce((sum, { keysWithExpiry }) => sum + keysWithExpiry, 0),
    types: inspection.types,
    functionLibraries: inspection.functions.length,
    modules: inspection.modules.map(({ name }) => name),
    undecoded: [...new Set(inspection.undecodable.map(({ type }) => String(type)))],
  };
}

export function originOf(aux: Readonly<Record<string, string>>): DumpOrigin {
  return {
    serverName: aux['valkey-ver'] ? 'valkey' : 'redis',
    serverVersion: aux['valkey-ver'] ?? aux['redis-ver'],
  };
}

const numeric = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
