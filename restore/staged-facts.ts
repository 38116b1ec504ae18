/** What was found in a dump that lies on this machine's disk, with the selection that was asked for. No key's name. */
export interface StagedFacts {
  readonly selected: { readonly keys: number; readonly expired: number };
  readonly largestValueBytes: number;
  /** Byte offset of the record with the largest value. */
  readonly largestKeyOffset: number;
  /** Memory that the data took in the server that wrote it, in bytes; 0 where the dump does not say. */
  readonly usedMemoryBytes: number;
  /** Kinds of values whose bytes cannot be sliced out. */
  readonly undecodable: readonly string[];
  /** Selected hashes with fields that expire by themselves; absent in what was staged before this was looked for. */
  readonly hashesWithFieldExpiries?: number;
  /** What commands cannot say to the target, where it cannot load this dump and that way has to be gone. */
  readonly cannotSay: readonly string[];
}
