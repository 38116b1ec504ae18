import type { IdList } from './id-list.ts';

/** What decides whether a dump can be said in commands: found by `surveyForCommands`, judged by `cannotSay`. */
export interface CommandFacts {
  /** Keys looked at: those that were wanted. */
  readonly keys: number;
  /** Of these, of a type that has no commands everywhere: modules' by the name of their type, and arrays. */
  readonly moduleKeys: Readonly<Record<string, number>>;
  readonly arrayKeys: number;
  /** Hashes with fields that expire by themselves. */
  readonly hashesWithFieldExpiries: number;
  /** Function libraries of the dump, which belong to no key. */
  readonly functions: number;
  /** Modules that keep data beside the keys. */
  readonly moduleData: readonly string[];
  /** Keys whose idle time or frequency stands in the dump. */
  readonly keysWithUsage: number;
  /** Keys with something of a module's beside the value. */
  readonly keysWithMetadata: number;
  readonly streams: {
    readonly keys: number;
    /** With an entry that has no field. */
    readonly withoutFields: number;
    /** Streams that remember their producers' ids, so that nothing is added twice. */
    readonly withProducers: number;
    readonly consumers: number;
    /** Entries pending in a group of which no consumer owns them. */
    readonly unowned: number;
    /** Entries that are pending and no longer in their stream, put back as the others are. */
    readonly deletedPending: number;
    /** Streams with pending entries too long to tell which of these are in it: entries that are not are left out. */
    readonly tooLong: number;
  };
  /** By the offset of the key's record: the ids that are pending and no longer in the stream. */
  readonly deletedPending: ReadonlyMap<number, IdList>;
}
