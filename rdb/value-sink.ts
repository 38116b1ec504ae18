/**
 * Receives the content of one value, in pieces, in the order in which the dump has it. What a call hands over is valid
 * only during the call: copy what is kept.
 *
 * Strings come as one or more `piece` calls, `last` on the final one; their meaning follows from the type:
 *
 * | type   | calls |
 * | ------ | ----- |
 * | string | piece |
 * | list   | piece for each element, from the head |
 * | set    | piece for each member, in any order |
 * | zset   | piece (member), `score` |
 * | hash   | piece (field), piece (value), `fieldExpiry` where the field has one, `pairEnd` |
 * | stream | `streamEntry`, then piece (field), piece (value) for each pair; `streamInfo`; for each group `group`, piece (name), `groupInfo`, `pending` for each entry, for each consumer `consumer`, piece (name), `consumerInfo`, `owned` for each entry |
 */
export interface ValueSink {
  piece(bytes: Uint8Array, start: number, end: number, last: boolean): void;
  score(score: number): void;
  /** Unix time in milliseconds. */
  fieldExpiry(atMs: number): void;
  pairEnd(): void;
  streamEntry(id: StreamId, fields: number): void;
  streamInfo(info: StreamInfo): void;
  group(): void;
  groupInfo(info: GroupInfo): void;
  pending(id: StreamId, deliveredAtMs: number, deliveries: number): void;
  consumer(): void;
  consumerInfo(info: ConsumerInfo): void;
  owned(id: StreamId): void;
}

/** An entry's id: milliseconds and sequence, both unsigned 64-bit. */
export interface StreamId {
  readonly ms: bigint;
  readonly seq: bigint;
}

export interface StreamInfo {
  readonly length: number;
  readonly lastId: StreamId;
  /** Since Redis 7.0 (dumps of type 19 and newer). */
  readonly maxDeletedId?: StreamId;
  readonly entriesAdded?: bigint;
}

export interface GroupInfo {
  readonly lastId: StreamId;
  /** Since Redis 7.0; -1 where the server does not know it. */
  readonly entriesRead?: bigint;
}

export interface ConsumerInfo {
  /** Unix ms of the last attempt to read. */
  readonly seenAtMs: number;
  /** Unix ms of the last successful read, since Redis 7.2; -1 where there was none. */
  readonly activeAtMs?: number;
}
