import type { RdbEntry } from '../../rdb/entry.ts';
import type { PieceTarget } from '../../rdb/string-reader.ts';
import type { ValueSink } from '../../rdb/value-sink.ts';
import { CommandEncoder } from '../commands/command-encoder.ts';
import type { CommandFacts } from '../commands/command-facts.ts';
import type { CommandTarget } from '../commands/command-target.ts';
import { CommandPart, type SaidKey } from './command-part.ts';
import type { DumpWriter, DumpWriterOptions } from './dump-writer.ts';
import { expiryToPut } from './expiry-rule.ts';
import { Library, Part } from './part.ts';
import { command } from './pipeline.ts';
import { temporaryName } from './temporary-keys.ts';

const partBytes = 128 * 1024;

export interface CommandOptions extends DumpWriterOptions {
  readonly target: CommandTarget;
  readonly facts: CommandFacts;
  /** Keys before this offset may have been begun by an attempt before: what it left is taken away first. */
  readonly doubtUpTo: number;
}

/**
 * Says each key in write commands: under a temporary name, and then RENAMENX, which tells whether the key is there
 * already and changes nothing if so.
 */
export class CommandWriter implements DumpWriter {
  readonly #options: CommandOptions;
  readonly #encoder: CommandEncoder;
  #part: CommandPart | undefined;
  #leftOut: Part | undefined;
  #skipped: 'expired' | 'notSelected' | undefined;
  #key: SaidKey | undefined;
  #db: number;
  #code: Buffer[] = [];
  keepFrom: number;

  constructor(start: { db: number; offset: number }, options: CommandOptions) {
    this.#options = options;
    this.#db = start.db;
    this.keepFrom = start.offset;
    const { target, facts, ttl, shiftMs } = options;
    this.#encoder = new CommandEncoder(target, { facts, fieldExpiry: (atMs) => expiryToPut(atMs, ttl, shiftMs) });
  }

  selectDb(db: number): void {
    this.#db = db;
  }

  functionCode(): PieceTarget | null {
    this.#code = [];
    return { piece: (bytes, start, end) => void this.#code.push(Buffer.from(bytes.subarray(start, end))) };
  }

  functionEnd(): void {
    this.flush();
    if (this.#options.functions) this.#options.onPart(new Library(this.#db, -1, Buffer.concat(this.#code)));
  }

  key(entry: RdbEntry): ValueSink | null {
    const { selector, ttl, shiftMs, nowMs } = this.#options;
    if (!selector.has(entry.db, entry.keyBytes, entry.keyStart, entry.keyEnd)) {
      this.#skipped = 'notSelected';
      return null;
    }
    const expireAtMs = expiryToPut(entry.expireAtMs, ttl, shiftMs);
    if (expireAtMs !== -1 && expireAtMs <= nowMs()) {
      this.#skipped = 'expired';
      return null;
    }
    this.#skipped = undefined;
    const recordAt = entry.start;
    const key = { key: entry.copyKey(), temporary: temporaryName(recordAt), recordAt, expireAtMs };
    this.#key = key;
    const { db } = entry;
    const emit = (args: readonly (Buffer | string)[]) => this.#add(db, command(...args), recordAt);
    if (recordAt < this.#options.doubtUpTo) emit(['UNLINK', key.temporary]);
    this.#encoder.begin(entry, expireAtMs, emit, key.temporary);
    return this.#encoder;
  }

  keyEnd(entry: RdbEntry): void {
    if (this.#skipped !== undefined) {
      this.#leaveOut(entry, this.#skipped);
      return;
    }
    this.#encoder.end();
    const key = this.#key!;
    const part = this.#add(entry.db, command('RENAMENX', key.temporary, key.key), key.recordAt);
    part.renames.set(part.recordOf.length - 1, key);
    part.to = entry.end;
    if (part.bytes >= partBytes || part.renames.size >= this.#options.batchKeys) this.flush();
  }

  forget(offset: number): void {
    this.keepFrom = offset;
  }

  flush(): void {
    const part = this.#part ?? this.#leftOut;
    this.#part = undefined;
    this.#leftOut = undefined;
    if (part !== undefined) this.#options.onPart(part);
  }

  #add(db: number, bytes: Buffer, recordAt: number): CommandPart {
    const full = this.#part !== undefined && (this.#part.db !== db || this.#part.bytes >= partBytes);
    if (full || this.#leftOut !== undefined) this.flush();
    const part = (this.#part ??= new CommandPart(db, -1));
    part.add(bytes, recordAt);
    return part;
  }

  #leaveOut(entry: RdbEntry, why: 'expired' | 'notSelected'): void {
    let part = this.#part ?? this.#leftOut;
    if (part === undefined || part.db !== entry.db) {
      this.flush();
      part = this.#leftOut = new Part(entry.db, -1);
    }
    part.tally[why]++;
    part.to = entry.end;
    if (part.tally[why] >= 50_000) this.flush();
  }
}
