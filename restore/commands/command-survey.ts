import type { RdbEntry } from '../../rdb/entry.ts';
import type { RdbMagic } from '../../rdb/magic.ts';
import type { RdbSource } from '../../rdb/source.ts';
import { hasFieldExpiries } from '../../rdb/types.ts';
import type { ValueSink } from '../../rdb/value-sink.ts';
import { moduleTypeName } from '../../rdb/values/module.ts';
import type { RdbVisitor } from '../../rdb/visitor.ts';
import { type WalkOptions, walkRdb } from '../../rdb/walk.ts';
import type { CommandFacts } from './command-facts.ts';
import type { IdList } from './id-list.ts';
import { StreamSurvey } from './stream-survey.ts';

/** Of REDIS: streams that remember their producers from STREAM_LISTPACKS_4 on. */
const firstWithProducers = 26;

/**
 * Looks a dump through for what commands cannot say or have trouble with. Only streams are decoded for it. Can be
 * driven by another visitor that walks the dump anyway.
 */
export class CommandSurvey implements RdbVisitor {
  readonly #wanted: (entry: RdbEntry) => boolean;
  readonly #stream = new StreamSurvey();
  readonly #deletedPending = new Map<number, IdList>();
  readonly #moduleKeys = new Map<string, number>();
  readonly #moduleData = new Set<string>();
  #magic: RdbMagic = 'REDIS';
  #taken = false;
  #keys = 0;
  #arrayKeys = 0;
  #hashes = 0;
  #functions = 0;
  #usage = 0;
  #metadata = 0;
  #producers = 0;

  /** @param wanted the keys that are to be sent; default all. Asked in `key`. */
  constructor(wanted: (entry: RdbEntry) => boolean = () => true) {
    this.#wanted = wanted;
  }

  header(magic: RdbMagic): void {
    this.#magic = magic;
  }

  functionEnd(): void {
    this.#functions++;
  }

  moduleAux(name: string): void {
    this.#moduleData.add(name);
  }

  key(entry: RdbEntry): ValueSink | null {
    this.#taken = this.#wanted(entry);
    if (!this.#taken || entry.type !== 'stream') return null;
    this.#stream.begin();
    return this.#stream;
  }

  keyEnd(entry: RdbEntry): void {
    if (!this.#taken) return;
    const { type, typeCode } = entry;
    this.#keys++;
    if (entry.idleSeconds >= 0 || entry.frequency >= 0) this.#usage++;
    if (entry.metaAt >= 0) this.#metadata++;
    if (type === 'array') this.#arrayKeys++;
    if (hasFieldExpiries(this.#magic, typeCode)) this.#hashes++;
    if (type === 'module') {
      const name = moduleTypeName(entry.moduleId);
      this.#moduleKeys.set(name, (this.#moduleKeys.get(name) ?? 0) + 1);
    }
    if (type !== 'stream') return;
    if (typeCode >= firstWithProducers) this.#producers++;
    const deleted = this.#stream.end();
    if (deleted) this.#deletedPending.set(entry.start, deleted);
  }

  facts(): CommandFacts {
    return {
      keys: this.#keys,
      moduleKeys: Object.fromEntries(this.#moduleKeys),
      arrayKeys: this.#arrayKeys,
      hashesWithFieldExpiries: this.#hashes,
      functions: this.#functions,
      moduleData: [...this.#moduleData],
      keysWithUsage: this.#usage,
      keysWithMetadata: this.#metadata,
      streams: { ...this.#stream.found, withProducers: this.#producers },
      deletedPending: this.#deletedPending,
    };
  }
}

/**
 * Reads a dump once for `cannotSay` and for the encoder.
 *
 * @param wanted the keys that are to be sent; default all
 * @throws as `walkRdb`
 */
export async function surveyForCommands(
  source: RdbSource,
  wanted?: (entry: RdbEntry) => boolean,
  options?: WalkOptions,
): Promise<CommandFacts> {
  const survey = new CommandSurvey(wanted);
  await walkRdb(source, survey, options);
  return survey.facts();
}
