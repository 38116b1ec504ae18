import type { RdbEntry } from './entry.ts';
import type { RdbMagic } from './magic.ts';
import type { PieceTarget } from './string-reader.ts';
import type { ValueSink } from './value-sink.ts';

/** Who is told what a dump holds, in its order. What a call hands over is valid only during the call. */
export interface RdbVisitor {
  header?(magic: RdbMagic, version: number): void;
  aux?(name: string, value: string): void;
  selectDb?(db: number): void;
  /** How many keys, and of these with an expiry, the dump says the current database holds. */
  resizeDb?(db: number, keys: number, expires: number): void;
  /** A function library begins: who takes its code. */
  functionCode?(): PieceTarget | null;
  functionEnd?(): void;
  /** Data of a module that belongs to no key, by the name of the module's type. */
  moduleAux?(name: string): void;
  /** At this offset stands an opcode of Redis Enterprise and Redis Cloud: no redis-server reads a dump that has one. */
  enterpriseOnly?(offset: number): void;
  /** A key; whoever wants its value decoded answers with a sink. Only where `isDecoded(entry.type)`: else answer null. */
  key?(entry: RdbEntry): ValueSink | null;
  /** Its value is read: `entry.end` is known, the key's bytes are gone. */
  keyEnd?(entry: RdbEntry): void;
}
