import type { StreamDetail } from '../../rdb/content-digest.ts';
import type { RdbEntry } from '../../rdb/entry.ts';
import { Reservoir } from '../../rdb/reservoir.ts';
import { isDecoded } from '../../rdb/types.ts';
import type { ValueSink } from '../../rdb/value-sink.ts';
import type { RdbVisitor } from '../../rdb/visitor.ts';
import { expiryToPut, type TtlMode } from '../keys/expiry-rule.ts';
import type { KeySelector } from '../keys/key-selection.ts';
import { ExpectedDigest, type ExpectedKey } from './expected-key.ts';
import type { KeptKeys } from './kept-keys.ts';

/** So long after it was digested a key is read from the server at the latest, unless the digest is renewed. */
const digestLastsMs = 10 * 60_000;

export interface ExpectedKeysOptions {
  readonly selector: KeySelector;
  readonly kept?: KeptKeys;
  readonly ttl: TtlMode;
  readonly shiftMs: number;
  /** Keys whose record begins before it are passed over. */
  readonly fromOffset: number;
  /** The server's clock, Unix ms. */
  readonly nowMs: () => number;
  /** As in `ExpectedDigestOptions`. */
  readonly fieldExpiry: (atMs: number) => number;
  /** False: when consumers were last seen is not compared. */
  readonly consumerTimes: boolean;
  /** The most that is compared of a stream. */
  readonly streamDetail: StreamDetail;
  readonly sample?: { readonly count: number; readonly seed: number };
  /** Given each key that has to be compared, unless it is a sample: that is in `chosen` at the end. */
  readonly onKey: (key: ExpectedKey) => void;
  /** Told of a key that is not compared. */
  readonly onPassedOver: (why: PassedOver) => void;
}

type PassedOver = 'kept' | 'notSelected' | 'expired';

/** Walks the dump for what has to be in the server: each key's digest as it is there if the restore went right. */
export class ExpectedKeys implements RdbVisitor {
  readonly #options: ExpectedKeysOptions;
  readonly #sample: Reservoir<ExpectedKey> | undefined;
  #digest: ExpectedDigest;
  #wanted = false;
  #passedOver: PassedOver | undefined;
  #slot = -1;
  #key: Buffer = Buffer.alloc(0);
  #expireAtMs = -1;
  /** Offset behind the last record that was read whole. */
  readTo = 0;

  constructor(options: ExpectedKeysOptions) {
    this.#options = options;
    this.#digest = this.#newDigest();
    if (options.sample) this.#sample = new Reservoir(options.sample.count, options.sample.seed);
  }

  /** The sample. */
  get chosen(): ExpectedKey[] {
    return this.#sample?.chosen ?? [];
  }

  key(entry: RdbEntry): ValueSink | null {
    const isNew = entry.start >= this.#options.fromOffset;
    this.#passedOver = isNew ? this.#whyNot(entry) : undefined;
    this.#wanted = isNew && this.#passedOver === undefined;
    if (this.#wanted && this.#sample) {
      this.#slot = this.#sample.offer();
      this.#wanted = this.#slot >= 0;
    }
    if (!this.#wanted) return null;
    this.#key = entry.copyKey();
    if (!isDecoded(entry.type)) return null;
    if (this.#options.nowMs() > this.#digest.aliveAt - digestLastsMs / 2) this.#digest = this.#newDigest();
    this.#digest.begin(entry.type, this.#detailOf(entry));
    return this.#digest;
  }

  keyEnd(entry: RdbEntry): void {
    this.readTo = entry.end;
    // Now and not before: a key that is read in part when a comparison is cut off is read again.
    if (this.#passedOver !== undefined) this.#options.onPassedOver(this.#passedOver);
    if (!this.#wanted) return;
    const { db, type } = entry;
    const place = { db, key: this.#key, expireAtMs: this.#expireAtMs, bytes: entry.end - entry.valueStart };
    const digest = this.#digest;
    const expected: ExpectedKey = isDecoded(type)
      ? {
          ...place,
          type,
          digest: digest.end(this.#expireAtMs),
          streamDetail: type === 'stream' ? this.#detailOf(entry) : undefined,
          fieldsExpireAtMs: digest.fieldsExpireAtMs,
          aliveAt: digest.aliveAt,
        }
      : { ...place, fieldsExpireAtMs: Number.POSITIVE_INFINITY, aliveAt: digest.aliveAt };
    if (this.#sample) this.#sample.put(this.#slot, expected);
    else this.#options.onKey(expected);
  }

  #whyNot({ db, expireAtMs, keyBytes, keyStart, keyEnd }: RdbEntry): PassedOver | undefined {
    const { selector, kept, ttl, shiftMs, nowMs } = this.#options;
    this.#expireAtMs = expiryToPut(expireAtMs, ttl, shiftMs);
    if (!selector.has(db, keyBytes, keyStart, keyEnd)) return 'notSelected';
    if (kept?.has(db, keyBytes, keyStart, keyEnd)) return 'kept';
    return this.#expireAtMs !== -1 && this.#expireAtMs <= nowMs() ? 'expired' : undefined;
  }

  /** What the dump's encoding carries: types 15, 19, and 21 and newer. */
  #detailOf({ typeCode }: RdbEntry): StreamDetail {
    const most = this.#options.streamDetail;
    if (typeCode === 15) return 1;
    return typeCode === 19 ? (Math.min(2, most) as StreamDetail) : most;
  }

  #newDigest(): ExpectedDigest {
    const { nowMs, consumerTimes, fieldExpiry } = this.#options;
    return new ExpectedDigest({ aliveAt: nowMs() + digestLastsMs, consumerTimes, fieldExpiry });
  }
}
