import type { Redis } from 'ioredis';
import { ContentDigest, type DigestOptions } from '../rdb/content-digest.ts';
import { readHash, readList, readSet, readSortedSet } from './live-elements.ts';
import { readStream } from './live-stream.ts';

/** What a live server says of one key. */
export type LiveKey =
  | { readonly state: 'present'; readonly type: string; readonly digest: string; readonly expireAtMs?: number }
  | { readonly state: 'absent' }
  /** A type that ordinary commands cannot read element by element: a module's. */
  | { readonly state: 'unsupported'; readonly type: string };

type Reader = (redis: Redis, key: Buffer, digest: ContentDigest) => Promise<void>;

const readers: Readonly<Record<string, Reader>> = {
  string: readString,
  list: readList,
  set: readSet,
  zset: readSortedSet,
  hash: readHash,
  stream: readStream,
};

/** Bytes of a string that are asked for at once: under `proto-max-bulk-len`, and little memory. */
const stringPieceBytes = 4 * 1024 * 1024;

/**
 * Reads a key from a live server by the commands that applications use and digests it as `rdb/content-digest.ts` says.
 * It never asks for DUMP, which is the server's own way of writing a dump: what is compared with a dump's content must
 * not come from the same code. For a server that nobody writes to (a sandbox): big keys are read in several commands.
 *
 * Leaves the connection in database `db`.
 *
 * @param options how the other side was digested: what had expired by then, how much of a stream its encoding carries
 */
export async function readLiveKey(
  redis: Redis,
  db: number,
  key: Buffer,
  options: DigestOptions = {},
): Promise<LiveKey> {
  // Sent together, answered in order: one way there and back.
  const [, type, expiry] = await Promise.all([redis.select(db), redis.type(key), askExpiry(redis, key)]);
  if (type === 'none') return { state: 'absent' };
  const reader = readers[type];
  if (!reader) return { state: 'unsupported', type };
  const expireAt = expiry ?? (await expiryByClock(redis, key));
  const expireAtMs = expireAt < 0 ? undefined : expireAt;
  const digest = new ContentDigest(options);
  digest.begin(type as 'string' | 'list' | 'set' | 'zset' | 'hash' | 'stream');
  try {
    await reader(redis, key, digest);
  } catch (error) {
    // It expired while it was read: half of it is no content.
    if ((await redis.exists(key)) === 0) return { state: 'absent' };
    throw error;
  }
  // A hash goes with the last of its fields, too.
  if ((expireAtMs !== undefined || type === 'hash') && (await redis.exists(key)) === 0) return { state: 'absent' };
  return {
    state: 'present',
    type,
    digest: digest.end(expireAtMs),
    ...(expireAtMs === undefined ? {} : { expireAtMs }),
  };
}

async function readString(redis: Redis, key: Buffer, digest: ContentDigest): Promise<void> {
  const length = await redis.strlen(key);
  if (length === 0) digest.text(Buffer.alloc(0));
  for (let at = 0; at < length; at += stringPieceBytes) {
    const piece = await redis.getrangeBuffer(key, at, at + stringPieceBytes - 1);
    digest.piece(piece, 0, piece.length, at + stringPieceBytes >= length);
  }
}

/** Unix ms at which the key expires, negative for never; undefined where the server cannot tell (before Redis 7.0). */
async function askExpiry(redis: Redis, key: Buffer): Promise<number | undefined> {
  try {
    return Number(await redis.call('PEXPIRETIME', key));
  } catch (error) {
    if (/unknown command/i.test(String(error))) return undefined;
    throw error;
  }
}

/**
 * Before Redis 7.0 a server tells only how long is left, by its own clock: asked between two looks at that clock, which
 * together must fall within one millisecond to make the sum exact. A transaction takes some microseconds.
 */
async function expiryByClock(redis: Redis, key: Buffer): Promise<number> {
  for (;;) {
    const replies = await redis.multi().time().pttl(key).time().exec();
    const [before, left, after] = (replies ?? []).map(([error, value]) => {
      if (error) throw error;
      return value;
    });
    if (Number(left) < 0) return Number(left);
    const [start, end] = [before, after].map((time) => {
      const [seconds, micros] = time as [string, string];
      return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
    });
    if (start === end) return start! + Number(left);
  }
}
