import type { Redis } from 'ioredis';
import { ContentDigest, type StreamDetail } from '../../rdb/content-digest.ts';
import type { RdbEntry } from '../../rdb/entry.ts';
import type { RdbMagic } from '../../rdb/magic.ts';
import { isDecoded } from '../../rdb/types.ts';
import { RdbWalker } from '../../rdb/walker.ts';
import { readLiveKey } from '../../redis/live-content.ts';
import { readAt } from './dump-tape.ts';

/** A key of the dump, to be held against the live one of its name. */
export interface KeyInDump {
  readonly db: number;
  readonly key: Buffer;
  readonly recordAt: number;
  /** Its expiry as it was to be put; -1: never. */
  readonly expireAtMs: number;
  /** Its value as DUMP would write it, without footer; absent where it is too long to be held. */
  readonly body?: Uint8Array;
}

const footerBytes = 10;
/** A server that cannot tell the time of an expiry tells what is left of it: asked a moment later. */
const expiryToleranceMs = 2_000;
const together = 128;
const blockBytes = 64 * 1024;

/** Tells whether live keys have the content that the dump has for them, expiry included. */
export class SameContent {
  readonly #redis: Redis;
  readonly #fd: number;
  readonly #dump: { magic: RdbMagic; version: number };
  readonly #nowMs: () => number;
  #turn: Promise<void> = Promise.resolve();

  constructor(redis: Redis, fd: number, dump: { magic: RdbMagic; version: number }, nowMs: () => number) {
    this.#redis = redis;
    this.#fd = fd;
    this.#dump = dump;
    this.#nowMs = nowMs;
  }

  /** All of one database. Equal bytes of DUMP are a shortcut: the order of a set's members may differ and says nothing. */
  ofAll(keys: readonly KeyInDump[]): Promise<boolean[]> {
    // One caller at a time: the connection has one database selected.
    const answer = this.#turn.then(() => this.#ofAll(keys));
    this.#turn = answer.then(
      () => {},
      () => {},
    );
    return answer;
  }

  async #ofAll(keys: readonly KeyInDump[]): Promise<boolean[]> {
    const same: boolean[] = [];
    for (let from = 0; from < keys.length; from += together) {
      const some = keys.slice(from, from + together);
      await this.#redis.select(some[0]!.db);
      const quick = await Promise.all(some.map((key) => this.#hasSameBytes(key)));
      for (const [i, key] of some.entries()) same.push(quick[i]! || (await this.#hasSameElements(key)));
    }
    return same;
  }

  async #hasSameBytes({ key, body, expireAtMs }: KeyInDump): Promise<boolean> {
    if (body === undefined) return false;
    const [payload, expiresAt] = await Promise.all([
      this.#redis.dumpBuffer(key) as Promise<Buffer | null>,
      // What is left of it counts from when the answer comes.
      this.#redis.pttl(key).then((left) => (left < 0 ? -1 : this.#nowMs() + left)),
    ]);
    if (payload === null || !payload.subarray(0, -footerBytes).equals(body)) return false;
    if (expiresAt === -1 || expireAtMs === -1) return expiresAt === expireAtMs;
    return Math.abs(expiresAt - expireAtMs) <= expiryToleranceMs;
  }

  async #hasSameElements(key: KeyInDump): Promise<boolean> {
    const aliveAt = this.#nowMs();
    const ours = this.#digest(key, aliveAt);
    if (ours === undefined) return false;
    const { digest, streamDetail } = ours;
    const live = await readLiveKey(this.#redis, key.db, key.key, { aliveAt, streamDetail });
    return live.state === 'present' && live.digest === digest;
  }

  /** Of the key in the dump; undefined where its type is not decoded. */
  #digest(key: KeyInDump, aliveAt: number): { digest: string; streamDetail?: StreamDetail } | undefined {
    const content = new ContentDigest({ aliveAt });
    let found: { digest: string; streamDetail?: StreamDetail } | undefined;
    let ended = false;
    const detail = (entry: RdbEntry): StreamDetail => (entry.typeCode === 15 ? 1 : entry.typeCode === 19 ? 2 : 3);
    const walker = new RdbWalker(
      {
        key: (entry) => {
          if (ended || !isDecoded(entry.type)) return null;
          content.begin(entry.type, detail(entry));
          return content;
        },
        keyEnd: (entry) => {
          if (ended) return;
          ended = true;
          if (!isDecoded(entry.type)) return;
          found = { digest: content.end(key.expireAtMs), streamDetail: detail(entry) };
        },
      },
      { ...this.#dump, db: key.db, offset: key.recordAt },
    );
    for (let at = key.recordAt; !ended; ) {
      const room = walker.room();
      const read = readAt(this.#fd, room, 0, Math.min(room.length, blockBytes), at);
      if (read === 0) break;
      at += read;
      walker.advance(read);
    }
    return found;
  }
}
