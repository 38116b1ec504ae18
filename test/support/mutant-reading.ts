import { RewindError } from '../../errors/rewind-error.ts';
import { KeySet } from '../../incident/corruption/key-set.ts';
import { ValueCheck } from '../../incident/corruption/value-check.ts';
import { ContentDigest } from '../../rdb/content-digest.ts';
import { isDecoded } from '../../rdb/types.ts';
import type { ConsumerInfo, GroupInfo, StreamId, StreamInfo, ValueSink } from '../../rdb/value-sink.ts';
import type { RdbVisitor } from '../../rdb/visitor.ts';
import { RdbWalker } from '../../rdb/walker.ts';

/** What the reader makes of a mutant. Plain data. */
export interface MutantReading {
  /** `accepted` or the code of the error. */
  readonly code: string;
  /** What a server would hold of it that loads it now. */
  readonly keysByDatabase: Readonly<Record<string, number>>;
  /** Where it was accepted: what the closer look finds, that of a salvage; or what a bare server has not got. */
  readonly doubts: readonly string[];
}

/** Looks closely at a value and counts what of it is there now. */
class CountingCheck extends ValueCheck {
  elements = 0;
  alive = 0;
  #expired = false;

  override piece(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    super.piece(bytes, start, end, last);
    if (last) this.elements++;
  }

  fieldEnds(atMs: number): void {
    this.#expired = atMs <= Date.now();
  }

  override pairEnd(): void {
    super.pairEnd();
    if (!this.#expired) this.alive++;
    this.#expired = false;
  }

  restart(): void {
    this.elements = 0;
    this.alive = 0;
    this.#expired = false;
  }
}

const defaultDatabases = 16;
/** A server asks for the memory of its tables before it reads the keys; of a whole dump the counts are compared. */
const mostKeys = 10_000_000;

/** Reads a dump with each value decoded, digested and looked at closely. Throws only what is no RewindError. */
export function readMutant(bytes: Buffer): MutantReading {
  const keysByDatabase: Record<string, number> = {};
  const doubts = new Set<string>();
  const digest = new ContentDigest();
  const check = new CountingCheck();
  const both = new Both(digest, check);
  const seen = new KeySet();
  const visitor: RdbVisitor = {
    selectDb: (db) => {
      if (db >= defaultDatabases) doubts.add('a database that the server has not got');
    },
    resizeDb: (_db, keys, expires) => {
      if (keys > mostKeys || expires > mostKeys) doubts.add('sizes that no memory has room for');
    },
    functionCode: () => {
      doubts.add('a function library');
      return null;
    },
    aux: (name) => {
      if (name === 'lua') doubts.add("a script's body");
    },
    moduleAux: () => doubts.add("a module's data"),
    enterpriseOnly: () => doubts.add('an opcode of Redis Enterprise'),
    key: (entry) => {
      if (seen.add(entry.db, entry.keyBytes, entry.keyStart, entry.keyEnd) === undefined) doubts.add('a key twice');
      if (!isDecoded(entry.type)) {
        doubts.add(`a value of type ${entry.type}`);
        return null;
      }
      digest.begin(entry.type);
      check.begin(entry.type, entry.typeCode);
      check.restart();
      return both;
    },
    keyEnd: (entry) => {
      let there = entry.expireAtMs === -1 || entry.expireAtMs > Date.now();
      if (isDecoded(entry.type)) {
        digest.end(entry.expireAtMs);
        if (check.fault !== undefined) doubts.add(check.fault);
        const { type } = entry;
        if (type !== 'string' && type !== 'stream') there &&= type === 'hash' ? check.alive > 0 : check.elements > 0;
      }
      if (there) keysByDatabase[entry.db] = (keysByDatabase[entry.db] ?? 0) + 1;
    },
  };
  try {
    walk(bytes, visitor, false);
    // Servers take what came later than the version in the header; the one that wrote the dump does not know it.
    if (!isOfItsVersion(bytes)) doubts.add('what came later than its version');
    return { code: 'accepted', keysByDatabase, doubts: [...doubts] };
  } catch (error) {
    if (!(error instanceof RewindError)) throw error;
    return { code: error.code, keysByDatabase: {}, doubts: [] };
  }
}

function isOfItsVersion(bytes: Buffer): boolean {
  try {
    walk(bytes, {}, true);
    return true;
  } catch (error) {
    if (!(error instanceof RewindError)) throw error;
    return false;
  }
}

/** As `walkRdb` reads a file, in one go. */
function walk(bytes: Buffer, visitor: RdbVisitor, onlyOfVersion: boolean): void {
  const walker = new RdbWalker(visitor, undefined, onlyOfVersion);
  let at = 0;
  while (at < bytes.length && !walker.done) {
    const room = walker.room();
    const take = Math.min(room.length, bytes.length - at);
    room.set(bytes.subarray(at, at + take));
    walker.advance(take);
    at += take;
  }
  walker.refuseTrailing();
  walker.finish();
  if (at < bytes.length) throw new RewindError('RDB_TRAILING_BYTES', 'bytes follow the end');
}

/** Tells two what one is told. */
class Both implements ValueSink {
  readonly #sinks: readonly [ContentDigest, CountingCheck];

  constructor(digest: ContentDigest, check: CountingCheck) {
    this.#sinks = [digest, check];
  }

  piece(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    for (const sink of this.#sinks) sink.piece(bytes, start, end, last);
  }
  score(score: number): void {
    this.#sinks[0].score(score);
  }
  fieldExpiry(atMs: number): void {
    this.#sinks[0].fieldExpiry(atMs);
    this.#sinks[1].fieldEnds(atMs);
  }
  pairEnd(): void {
    for (const sink of this.#sinks) sink.pairEnd();
  }
  streamEntry(id: StreamId, fields: number): void {
    for (const sink of this.#sinks) sink.streamEntry(id, fields);
  }
  streamInfo(info: StreamInfo): void {
    for (const sink of this.#sinks) sink.streamInfo(info);
  }
  group(): void {
    for (const sink of this.#sinks) sink.group();
  }
  groupInfo(info: GroupInfo): void {
    this.#sinks[0].groupInfo(info);
  }
  pending(id: StreamId, deliveredAtMs: number, deliveries: number): void {
    for (const sink of this.#sinks) sink.pending(id, deliveredAtMs, deliveries);
  }
  consumer(): void {
    this.#sinks[0].consumer();
  }
  consumerInfo(info: ConsumerInfo): void {
    this.#sinks[0].consumerInfo(info);
  }
  owned(id: StreamId): void {
    for (const sink of this.#sinks) sink.owned(id);
  }
}
