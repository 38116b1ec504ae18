import { ContentDigest, type StreamDetail } from './content-digest.ts';
import { DiscardValue } from './discard-value.ts';
import type { RdbEntry } from './entry.ts';
import { LibraryDigest } from './function-library.ts';
import type {
  DatabaseCount,
  FunctionLibrary,
  RdbInspection,
  SampledKey,
  SampleOptions,
  Undecodable,
} from './inspection.ts';
import { Reservoir } from './reservoir.ts';
import type { PieceTarget } from './string-reader.ts';
import { type DecodedType, isDecoded } from './types.ts';
import type { ValueSink } from './value-sink.ts';
import { moduleTypeName } from './values/module.ts';
import type { RdbVisitor } from './visitor.ts';

const listedUndecodable = 100;
/** A longer key is counted but not sampled. */
const longestSampledKey = 64 * 1024;

/** What a walk finds, without what is found about the file as a whole. */
export type Findings = Omit<RdbInspection, 'magic' | 'version' | 'sizeBytes' | 'sha256' | 'crc'>;

interface DatabaseTally {
  keys: number;
  keysWithExpiry: number;
  resizeDbKeys?: number;
  resizeDbExpires?: number;
}

/** Counts what a dump holds and digests a sample of it. */
export class RdbInspector implements RdbVisitor {
  readonly #databases = new Map<number, DatabaseTally>();
  readonly #aux = new Map<string, string>();
  readonly #types = new Map<string, number>();
  readonly #modules = new Map<string, { keys: number; aux: number }>();
  readonly #functions: FunctionLibrary[] = [];
  readonly #undecodable: Undecodable[] = [];
  readonly #digest: ContentDigest;
  readonly #discard = new DiscardValue();
  readonly #decodeAll: boolean;
  readonly #sample: Reservoir<SampledKey> | undefined;
  readonly #aliveAt: number;
  #library = new LibraryDigest();
  #scripts = 0;
  #undecodableCount = 0;
  #savedAtMs = Number.NEGATIVE_INFINITY;
  #expiredAtSave = 0;
  #largestValueBytes = 0;
  #largestKeyOffset = -1;
  #database: DatabaseTally | undefined;
  #databaseNumber = -1;
  #slot = -1;
  #sampledKey: Buffer = Buffer.alloc(0);

  constructor(options: { decode?: boolean; sample?: SampleOptions }) {
    this.#decodeAll = options.decode ?? false;
    this.#aliveAt = options.sample?.aliveAt ?? Number.NEGATIVE_INFINITY;
    this.#digest = new ContentDigest({ aliveAt: this.#aliveAt });
    if (options.sample) this.#sample = new Reservoir(options.sample.count, options.sample.seed);
  }

  aux(name: string, value: string): void {
    if (name === 'lua') {
      this.#scripts++;
      return;
    }
    this.#aux.set(name, value);
    if (name === 'ctime') this.#savedAtMs = Number(value) * 1000;
  }

  resizeDb(db: number, keys: number, expires: number): void {
    const tally = this.#tally(db);
    tally.resizeDbKeys = keys;
    tally.resizeDbExpires = expires;
  }

  functionCode(): PieceTarget {
    this.#library = new LibraryDigest();
    return this.#library;
  }

  functionEnd(): void {
    this.#functions.push(this.#library.end());
  }

  moduleAux(name: string): void {
    this.#module(name).aux++;
  }

  key(entry: RdbEntry): ValueSink | null {
    if (!isDecoded(entry.type)) return null;
    this.#slot = this.#offer(entry);
    if (this.#slot < 0) return this.#decodeAll ? this.#discard : null;
    this.#sampledKey = entry.copyKey();
    this.#digest.begin(entry.type, streamDetail(entry.typeCode));
    return this.#digest;
  }

  keyEnd(entry: RdbEntry): void {
    const { db, expireAtMs } = entry;
    if (db !== this.#databaseNumber || this.#database === undefined) {
      this.#database = this.#tally(db);
      this.#databaseNumber = db;
    }
    this.#database.keys++;
    if (expireAtMs >= 0) {
      this.#database.keysWithExpiry++;
      if (expireAtMs < this.#savedAtMs) this.#expiredAtSave++;
    }
    const bytes = entry.end - entry.valueStart;
    if (bytes > this.#largestValueBytes) {
      this.#largestValueBytes = bytes;
      this.#largestKeyOffset = entry.start;
    }
    const name = entry.type === 'module' ? moduleTypeName(entry.moduleId) : entry.type;
    this.#types.set(name, (this.#types.get(name) ?? 0) + 1);
    if (entry.type === 'module') this.#module(name).keys++;
    if (!isDecoded(entry.type)) this.#passedOver(entry, name);
    if (this.#slot >= 0) this.#keep(entry);
  }

  findings(): Findings {
    const databases = [...this.#databases].map(([db, tally]): DatabaseCount => ({ db, ...tally }));
    databases.sort((a, b) => a.db - b.db);
    return {
      aux: Object.fromEntries(this.#aux),
      databases,
      keys: databases.reduce((sum, { keys }) => sum + keys, 0),
      keysExpiredAtSave: this.#expiredAtSave,
      resizeDbMatches: databases.every(({ keys, resizeDbKeys }) => resizeDbKeys === undefined || resizeDbKeys === keys),
      types: Object.fromEntries([...this.#types].sort()),
      functions: this.#functions,
      scripts: this.#scripts,
      modules: [...this.#modules].map(([name, counts]) => ({ name, ...counts })),
      largestValueBytes: this.#largestValueBytes,
      largestKeyOffset: this.#largestKeyOffset,
      undecodable: this.#undecodable,
      undecodableCount: this.#undecodableCount,
      ...(this.#sample === undefined ? {} : { sample: this.#sample.chosen }),
    };
  }

  #offer(entry: RdbEntry): number {
    if (this.#sample === undefined) return -1;
    if (entry.expireAtMs >= 0 && entry.expireAtMs <= this.#aliveAt) return -1;
    if (entry.keyEnd - entry.keyStart > longestSampledKey) return -1;
    return this.#sample.offer();
  }

  #keep(entry: RdbEntry): void {
    const detail = entry.type === 'stream' ? { streamDetail: streamDetail(entry.typeCode) } : {};
    this.#sample!.put(this.#slot, {
      db: entry.db,
      key: this.#sampledKey,
      type: entry.type as DecodedType,
      typeCode: entry.typeCode,
      ...(entry.expireAtMs < 0 ? {} : { expireAtMs: entry.expireAtMs }),
      digest: this.#digest.end(entry.expireAtMs),
      ...detail,
      start: entry.start,
      end: entry.end,
    });
    this.#slot = -1;
  }

  #passedOver(entry: RdbEntry, name: string): void {
    this.#undecodableCount++;
    if (this.#undecodable.length < listedUndecodable) {
      this.#undecodable.push({ type: name, typeCode: entry.typeCode, offset: entry.start });
    }
  }

  #module(name: string): { keys: number; aux: number } {
    const module = this.#modules.get(name) ?? { keys: 0, aux: 0 };
    this.#modules.set(name, module);
    return module;
  }

  #tally(db: number): DatabaseTally {
    const tally = this.#databases.get(db) ?? { keys: 0, keysWithExpiry: 0 };
    this.#databases.set(db, tally);
    return tally;
  }
}

/** The types that hold streams: 15, 19, and 21 and newer. */
function streamDetail(typeCode: number): StreamDetail {
  if (typeCode === 15) return 1;
  return typeCode === 19 ? 2 : 3;
}
