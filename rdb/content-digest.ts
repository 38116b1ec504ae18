import { Hash128 } from './hash128.ts';
import type { DecodedType } from './types.ts';
import type { ConsumerInfo, GroupInfo, StreamId, StreamInfo, ValueSink } from './value-sink.ts';

/**
 * How much of a stream a digest covers, by what the dump's encoding carries (types 15, 19, 21): 1: entries, last id,
 * groups, what is pending, consumers and when they were seen; 2: also the largest deleted id, entries added and read
 * (Redis 7.0); 3: also each consumer's last successful read (7.2). Two digests compare at the same detail only. A server
 * that loads an older dump makes up what is not in it: digest its answer at the dump's detail.
 */
export type StreamDetail = 1 | 2 | 3;

export interface DigestOptions {
  /** Unix ms: hash fields that expire at or before it are left out, on whichever side they still exist. */
  readonly aliveAt?: number;
  /** Default 3. */
  readonly streamDetail?: StreamDetail;
  /** False leaves out when a stream's consumers were last seen, which no command can put back. Default true. */
  readonly consumerTimes?: boolean;
}

/** What a part of the sum stands for. */
const tag = {
  string: 1,
  list: 2,
  set: 3,
  zset: 4,
  hash: 5,
  entry: 6,
  info: 7,
  groupName: 8,
  group: 9,
  pending: 10,
  consumerName: 11,
  consumer: 12,
  owned: 13,
  key: 14,
} as const;

const typeNumber: Readonly<Record<DecodedType, number>> = {
  string: 1,
  list: 2,
  set: 3,
  zset: 4,
  hash: 5,
  stream: 6,
};

const scratch = new DataView(new ArrayBuffer(16));

/**
 * The digest of one key's content: type, expiry, elements; the same whatever the encoding, the server and the order in
 * which a set or hash gives its elements. Feed it as a `ValueSink`: from a dump by the walker, from a live server by
 * hand (`text` for each string, in the order that `ValueSink` describes). Integers are their decimal text, scores
 * doubles (-0 is 0: a server forgets the sign in some encodings). Not covered, because a server cannot be asked for it
 * exactly: idle times, frequencies, encodings.
 *
 * Elements without order are hashed one by one to 128 bits and added up, each 32-bit lane modulo 2^32; a list is one
 * hash in order.
 *
 * @example
 * const digest = new ContentDigest();
 * digest.begin('hash');
 * for (const [field, value] of pairs) {
 *   digest.text(field);
 *   digest.text(value);
 *   digest.pairEnd();
 * }
 * digest.end(expireAtMs); // 32 hex digits
 */
export class ContentDigest implements ValueSink {
  readonly #aliveAt: number;
  readonly #consumerTimes: boolean;
  #detail: StreamDetail;
  #type: DecodedType = 'string';
  readonly #hash = new Hash128();
  /** The sum, each lane modulo 2^32. */
  #sum0 = 0;
  #sum1 = 0;
  #sum2 = 0;
  #sum3 = 0;
  #parts = 0;
  /** Of each element of a set, sorted set or hash; else 0. */
  #elementTag = 0;
  #inElement = false;
  #expired = false;
  #stringsLeft = 0;
  #naming: 'group' | 'consumer' | undefined;
  readonly #group = new Int32Array(4);
  readonly #consumer = new Int32Array(4);
  readonly #result = Buffer.alloc(16);

  constructor(options: DigestOptions = {}) {
    this.#aliveAt = options.aliveAt ?? Number.NEGATIVE_INFINITY;
    this.#detail = options.streamDetail ?? 3;
    this.#consumerTimes = options.consumerTimes ?? true;
  }

  /** Begins the next key. */
  begin(type: DecodedType, streamDetail: StreamDetail = this.#detail): void {
    this.#type = type;
    this.#detail = streamDetail;
    this.#sum0 = 0;
    this.#sum1 = 0;
    this.#sum2 = 0;
    this.#sum3 = 0;
    this.#parts = 0;
    this.#inElement = false;
    this.#expired = false;
    this.#naming = undefined;
    this.#stringsLeft = 0;
    this.#elementTag = type === 'set' || type === 'zset' || type === 'hash' ? tag[type] : 0;
    if (type === 'list' || type === 'string') this.#hash.begin(tag[type]);
  }

  /** One whole string. */
  text(bytes: Uint8Array): void {
    this.piece(bytes, 0, bytes.length, true);
  }

  piece(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    const hash = this.#hash;
    if (this.#elementTag > 0 && !this.#inElement) {
      hash.begin(this.#elementTag);
      this.#inElement = true;
    }
    if (!last) {
      hash.piece(bytes, start, end);
      return;
    }
    hash.string(bytes, start, end);
    if (this.#type === 'set') this.#add();
    else if (this.#type === 'list') this.#parts++;
    else if (this.#type === 'stream') this.#endStreamString();
  }

  score(score: number): void {
    scratch.setFloat64(0, score === 0 ? 0 : score);
    this.#hash.words(scratch.getInt32(0), scratch.getInt32(4), 0, 0);
    this.#add();
  }

  fieldExpiry(atMs: number): void {
    this.#expired = atMs <= this.#aliveAt;
    this.#hash.words(high(atMs), low(atMs), 1, 0);
  }

  pairEnd(): void {
    if (this.#expired) this.#inElement = false;
    else this.#add();
    this.#expired = false;
  }

  streamEntry(id: StreamId, fields: number): void {
    this.#hash.begin(tag.entry);
    this.#id(id);
    this.#naming = undefined;
    this.#stringsLeft = 2 * fields;
    if (fields === 0) this.#add();
  }

  streamInfo(info: StreamInfo): void {
    this.#hash.begin(tag.info);
    this.#id(info.lastId);
    if (this.#detail >= 2) {
      this.#id(info.maxDeletedId ?? { ms: 0n, seq: 0n });
      this.#big(info.entriesAdded ?? 0n);
    }
    this.#add();
  }

  group(): void {
    this.#hash.begin(tag.groupName);
    this.#naming = 'group';
  }

  groupInfo(info: GroupInfo): void {
    this.#hash.begin(tag.group);
    this.#name(this.#group);
    this.#id(info.lastId);
    if (this.#detail >= 2) this.#big(info.entriesRead ?? -1n);
    this.#add();
  }

  pending(id: StreamId, deliveredAtMs: number, deliveries: number): void {
    this.#hash.begin(tag.pending);
    this.#name(this.#group);
    this.#id(id);
    this.#hash.words(high(deliveredAtMs), low(deliveredAtMs), high(deliveries), low(deliveries));
    this.#add();
  }

  consumer(): void {
    this.#hash.begin(tag.consumerName);
    this.#name(this.#group);
    this.#naming = 'consumer';
  }

  consumerInfo(info: ConsumerInfo): void {
    this.#hash.begin(tag.consumer);
    this.#name(this.#consumer);
    const { seenAtMs, activeAtMs = -1 } = info;
    if (this.#consumerTimes) this.#hash.words(high(seenAtMs), low(seenAtMs), 0, 0);
    if (this.#consumerTimes && this.#detail >= 3) this.#hash.words(high(activeAtMs), low(activeAtMs), 1, 0);
    this.#add();
  }

  owned(id: StreamId): void {
    this.#hash.begin(tag.owned);
    this.#name(this.#consumer);
    this.#id(id);
    this.#add();
  }

  /** Ends the key and answers its digest, 32 hex digits. `expireAtMs`: Unix ms; absent or negative for never. */
  end(expireAtMs = -1): string {
    return this.endBytes(expireAtMs).toString('hex');
  }

  /** As `end`, but the 16 bytes; they are overwritten by the next one. */
  endBytes(expireAtMs = -1): Buffer {
    const hash = this.#hash;
    if (this.#type === 'list' || this.#type === 'string') {
      hash.finish();
      this.#sum0 = hash.a;
      this.#sum1 = hash.b;
      this.#sum2 = hash.c;
      this.#sum3 = hash.d;
    }
    hash.begin(tag.key);
    hash.words(typeNumber[this.#type], 0, low(this.#parts), high(this.#parts));
    hash.words(high(expireAtMs), low(expireAtMs), 0, 0);
    hash.words(this.#sum0, this.#sum1, this.#sum2, this.#sum3);
    hash.finish();
    const result = this.#result;
    result.writeInt32BE(hash.a, 0);
    result.writeInt32BE(hash.b, 4);
    result.writeInt32BE(hash.c, 8);
    result.writeInt32BE(hash.d, 12);
    return result;
  }

  /** A string of a stream ends: an entry's last one adds the entry, a name is kept for what follows under it. */
  #endStreamString(): void {
    if (this.#naming === undefined) {
      if (--this.#stringsLeft === 0) this.#add();
      return;
    }
    const hash = this.#hash;
    hash.finish();
    const name = this.#naming === 'group' ? this.#group : this.#consumer;
    name[0] = hash.a;
    name[1] = hash.b;
    name[2] = hash.c;
    name[3] = hash.d;
    this.#naming = undefined;
  }

  /** Ends the hash at hand and adds it to the sum. */
  #add(): void {
    const hash = this.#hash;
    hash.finish();
    this.#sum0 = (this.#sum0 + hash.a) | 0;
    this.#sum1 = (this.#sum1 + hash.b) | 0;
    this.#sum2 = (this.#sum2 + hash.c) | 0;
    this.#sum3 = (this.#sum3 + hash.d) | 0;
    this.#parts++;
    this.#inElement = false;
  }

  #name(name: Int32Array): void {
    this.#hash.words(name[0]!, name[1]!, name[2]!, name[3]!);
  }

  #id(id: StreamId): void {
    scratch.setBigUint64(0, id.ms);
    scratch.setBigUint64(8, id.seq);
    this.#hash.words(scratch.getInt32(0), scratch.getInt32(4), scratch.getInt32(8), scratch.getInt32(12));
  }

  #big(value: bigint): void {
    scratch.setBigInt64(0, value);
    this.#hash.words(scratch.getInt32(0), scratch.getInt32(4), 2, 0);
  }
}

/** The upper and lower 32 bits of an integer below 2^53. */
const high = (value: number): number => Math.floor(value / 0x1_0000_0000) | 0;
const low = (value: number): number => value | 0;
