import { ContentDigest, type DigestOptions, type StreamDetail } from '../../rdb/content-digest.ts';
import type { DecodedType } from '../../rdb/types.ts';

/** A key as it has to be in the server, out of the dump. */
export interface ExpectedKey {
  readonly db: number;
  readonly key: Buffer;
  /** Absent where the dump's reader does not decode it: only its being there can be looked at. */
  readonly type?: DecodedType;
  readonly digest?: string;
  readonly streamDetail?: StreamDetail;
  /** Unix ms; -1: never. */
  readonly expireAtMs: number;
  /** When the last of a hash's fields has expired, and the key with it; Infinity where one stays. */
  readonly fieldsExpireAtMs: number;
  /** Of its value in the dump. */
  readonly bytes: number;
  /** Fields that expire at or before it are in neither digest. Unix ms. */
  readonly aliveAt: number;
}

export interface ExpectedDigestOptions extends DigestOptions {
  readonly aliveAt: number;
  /** What became of the expiry of a hash's field: another time, or -1 for none. */
  readonly fieldExpiry: (atMs: number) => number;
}

/** Digests values as they are after the restore, and notes when a hash goes with the last of its fields. */
export class ExpectedDigest extends ContentDigest {
  readonly aliveAt: number;
  readonly #fieldExpiryPut: (atMs: number) => number;
  fieldsExpireAtMs = Number.POSITIVE_INFINITY;
  #latest = 0;
  #fieldExpiry = -1;
  #stays = false;

  constructor(options: ExpectedDigestOptions) {
    super(options);
    this.aliveAt = options.aliveAt;
    this.#fieldExpiryPut = options.fieldExpiry;
  }

  override begin(type: DecodedType, streamDetail?: StreamDetail): void {
    super.begin(type, streamDetail);
    this.#latest = 0;
    this.#stays = type !== 'hash';
    this.#fieldExpiry = -1;
  }

  override fieldExpiry(atMs: number): void {
    const put = this.#fieldExpiryPut(atMs);
    if (put < 0) return;
    super.fieldExpiry(put);
    this.#fieldExpiry = put;
  }

  override pairEnd(): void {
    super.pairEnd();
    if (this.#fieldExpiry < 0) this.#stays = true;
    else this.#latest = Math.max(this.#latest, this.#fieldExpiry);
    this.#fieldExpiry = -1;
  }

  override end(expireAtMs?: number): string {
    this.fieldsExpireAtMs = this.#stays ? Number.POSITIVE_INFINITY : this.#latest;
    return super.end(expireAtMs);
  }
}
