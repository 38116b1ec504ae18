import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import { ContentDigest, type DigestOptions, type StreamDetail } from '../rdb/content-digest.ts';
import { parseScore } from '../rdb/score.ts';
import type { DecodedType } from '../rdb/types.ts';
import { CommandPipe } from './command-pipe.ts';
import { connectionError, connectRedis, type RedisTarget } from './connection.ts';
import { parseInfo, serverVersion } from './info.ts';
import { type LiveKey, readLiveKey } from './live-content.ts';
import { feedWholeStream } from './live-stream.ts';
import { type ReplyReader, replyKind } from './reply-reader.ts';

/** One key that is asked for. */
export interface LiveQuery {
  readonly db: number;
  readonly key: Buffer;
  /** What it is expected to be, which saves asking. */
  readonly type?: DecodedType;
  /** Bytes of its value in a dump, where that is known: a large one is read in portions. */
  readonly bytes?: number;
  /** As in `DigestOptions`, for this key. */
  readonly streamDetail?: StreamDetail;
}

/** What is read at once: a string's bytes, other types' elements. What turns out to be more is read in portions. */
const wholeBytes = 64 * 1024;
const wholeElements = 512;
/** Where nobody knows how long the elements are. */
const unknownElements = 128;
/** Keys that are read in portions at the same time. */
const portionsAtOnce = 16;

/** How long a server may take for a batch of small keys before it counts as gone. */
const answerTimeoutMs = 120_000;

/** A key on its way. */
interface Reading {
  readonly query: LiveQuery;
  readonly batch: Batch;
  readonly index: number;
  type: DecodedType;
  most: number;
  /** What became of the value that was read; its expiry comes behind it. */
  value: 'digested' | 'in-portions' | 'fields';
  encoding: string;
  fields?: FieldsRead;
  timeBeforeMs: number;
  expireAtMs: number;
}

/** A hash whose fields may expire by themselves: kept until that is known of each. */
interface FieldsRead {
  readonly bytes: Buffer;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

interface Batch {
  readonly options: DigestOptions;
  /** An answer about a key's value and the one about its expiry follow one another: nothing comes between. */
  readonly digest: ContentDigest;
  readonly found: LiveKey[];
  readonly inPortions: number[];
  left: number;
  readonly done: () => void;
  readonly fail: (error: Error) => void;
}

/**
 * Reads many keys as `readLiveKey` reads one: by the commands that applications use, to the same digests. Small keys are
 * asked for one behind the other without waiting, and large ones in portions beside them. Does not count as a use of the
 * keys where the server can be asked not to (CLIENT NO-TOUCH, Redis 7.2).
 */
export class LiveBatchReader {
  readonly #target: RedisTarget;
  readonly #pipe: CommandPipe;
  /** For what needs several answers; one database at a time. */
  readonly #redis: Redis;
  readonly #options: DigestOptions;
  readonly #hasFieldExpiry: boolean;
  readonly #hasExpireTime: boolean;
  readonly #underWay = new Set<Batch>();
  #db = 0;
  #portions: Promise<void> = Promise.resolve();

  private constructor(
    target: RedisTarget,
    pipe: CommandPipe,
    redis: Redis,
    options: DigestOptions,
    has: { fieldExpiry: boolean; expireTime: boolean },
  ) {
    this.#target = target;
    this.#pipe = pipe;
    this.#redis = redis;
    this.#options = options;
    this.#hasFieldExpiry = has.fieldExpiry;
    this.#hasExpireTime = has.expireTime;
    pipe.onFail((error) => {
      for (const batch of this.#underWay) batch.fail(error);
    });
  }

  /**
   * @param options how the other side was digested
   * @throws REDIS_UNREACHABLE, REDIS_REFUSED_LOGIN
   */
  static async open(target: RedisTarget, options: DigestOptions = {}, signal?: AbortSignal): Promise<LiveBatchReader> {
    const redis = await connectRedis(target);
    try {
      const { name, version } = serverVersion(parseInfo(await redis.info('server')));
      const [major = 0, minor = 0] = version.split('.').map(Number);
      const has = {
        fieldExpiry: name === 'valkey' ? major >= 9 : major > 7 || (major === 7 && minor >= 4),
        expireTime: name === 'valkey' || major >= 7,
      };
      const pipe = await CommandPipe.open(target, signal);
      pipe.send(['CLIENT', 'NO-TOUCH', 'ON'], ignored, undefined);
      await redis.call('CLIENT', 'NO-TOUCH', 'ON').catch(ignored);
      return new LiveBatchReader(target, pipe, redis, options, has);
    } catch (error) {
      redis.disconnect();
      throw error;
    }
  }

  /** A connection to the same server, for a few questions; in whatever database. */
  get redis(): Redis {
    return this.#redis;
  }

  /**
   * Reads keys and answers in their order. Some hundreds at a time are best, and a second call before the first is
   * answered keeps the server busy.
   *
   * @param options.aliveAt as in `DigestOptions`, for these keys
   * @throws COMPARE_REFUSED, REDIS_UNREACHABLE
   */
  async read(queries: readonly LiveQuery[], options: Pick<DigestOptions, 'aliveAt'> = {}): Promise<LiveKey[]> {
    if (queries.length === 0) return [];
    if (this.#pipe.failure) throw this.#pipe.failure;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const digestOptions = { ...this.#options, ...options };
    const batch: Batch = {
      options: digestOptions,
      digest: new ContentDigest(digestOptions),
      found: new Array<LiveKey>(queries.length),
      inPortions: [],
      left: queries.length,
      done: resolve,
      fail: reject,
    };
    this.#underWay.add(batch);
    const gaveUp = new Error(`it answered nothing for ${answerTimeoutMs / 1000} s`);
    const clock = setTimeout(() => reject(connectionError(this.#target, gaveUp)), answerTimeoutMs);
    try {
      queries.forEach((query, index) => {
        if (query.type !== undefined) this.#ask(batch, query, index, query.type, wholeElements);
        else this.#send(query.db, ['TYPE', query.key], this.#onType, { batch, query, index });
      });
      this.#pipe.flush();
      await promise;
      clearTimeout(clock);
      if (batch.inPortions.length > 0) await this.#readPortions(queries, batch);
      return batch.found;
    } finally {
      clearTimeout(clock);
      this.#underWay.delete(batch);
    }
  }

  close(): void {
    this.#pipe.close();
    this.#redis.disconnect();
  }

  readonly #onType = (
    reply: ReplyReader,
    { batch, query, index }: { batch: Batch; query: LiveQuery; index: number },
  ): void => {
    if (this.#refused(reply, batch, 'TYPE')) return;
    const type = reply.text(0);
    if (type === 'none') settle(batch, index, { state: 'absent' });
    else if (type in reads) {
      this.#ask(batch, query, index, type as DecodedType, unknownElements);
    } else settle(batch, index, { state: 'unsupported', type });
  };

  /** Asks for a key's value, then for its expiry: a key that expires in between is gone by then. */
  #ask(batch: Batch, query: LiveQuery, index: number, type: DecodedType, most: number): void {
    const { db, key } = query;
    if (query.bytes !== undefined && query.bytes > wholeBytes) {
      laterInPortions(batch, index);
      return;
    }
    const reading: Reading = {
      query,
      batch,
      index,
      type,
      most,
      value: 'digested',
      encoding: '',
      timeBeforeMs: 0,
      expireAtMs: -1,
    };
    if (type === 'hash' && this.#hasFieldExpiry) this.#send(db, ['OBJECT', 'ENCODING', key], onEncoding, reading);
    this.#send(db, reads[type](key, most), this.#onValue, reading);
    if (this.#hasExpireTime) {
      this.#send(db, ['PEXPIRETIME', key], this.#onExpireTime, reading);
    } else {
      this.#send(db, ['TIME'], onTimeBefore, reading);
      this.#send(db, ['PTTL', key], onTimeLeft, reading);
      this.#send(db, ['TIME'], this.#onTimeAfter, reading);
    }
  }

  readonly #onValue = (reply: ReplyReader, reading: Reading): void => {
    const { type, batch, query } = reading;
    const { digest } = batch;
    if (reply.kinds[0] === replyKind.error && reply.text(0).startsWith('WRONGTYPE')) {
      reading.value = 'in-portions';
      return;
    }
    // XINFO alone does not answer for a key that is not there; the next answer says the same.
    if (type === 'stream' && reply.kinds[0] === replyKind.error && reply.text(0).startsWith('ERR no such key')) return;
    if (this.#refused(reply, batch, reads[type](query.key, 1)[0] as string)) return;
    if (type === 'stream') {
      digest.begin(type, query.streamDetail ?? batch.options.streamDetail ?? 3);
      const whole = feedWholeStream(reply.value() as unknown[], reading.most, digest);
      if (!whole) reading.value = 'in-portions';
      return;
    }
    if (!isWhole(reply, reading)) {
      reading.value = 'in-portions';
      return;
    }
    const mayExpire = type === 'hash' && this.#hasFieldExpiry && !withoutFieldExpiry.has(reading.encoding);
    if (mayExpire && reply.ends[2]! > 0) {
      reading.value = 'fields';
      reading.fields = fieldsOf(reply);
      return;
    }
    digest.begin(type);
    feed(digest, type, reply);
  };

  readonly #onExpireTime = (reply: ReplyReader, reading: Reading): void => {
    if (this.#refused(reply, reading.batch, 'PEXPIRETIME')) return;
    reading.expireAtMs = reply.integer(0);
    this.#endKey(reading);
  };

  readonly #onTimeAfter = (reply: ReplyReader, reading: Reading): void => {
    if (reading.expireAtMs < 0) {
      this.#endKey(reading);
      return;
    }
    // Exact only where the clock did not move on between the two looks at it.
    const timeMs = timeOf(reply);
    if (timeMs === reading.timeBeforeMs) reading.expireAtMs += timeMs;
    else reading.value = 'in-portions';
    this.#endKey(reading);
  };

  #endKey(reading: Reading): void {
    const { batch, index, type, expireAtMs } = reading;
    if (expireAtMs === -2) settle(batch, index, { state: 'absent' });
    else if (reading.value === 'in-portions') laterInPortions(batch, index);
    else if (reading.value === 'digested')
      settle(batch, index, present(type, batch.digest.end(expireAtMs), expireAtMs));
    else this.#askFieldExpiries(reading);
  }

  #askFieldExpiries(reading: Reading): void {
    const { bytes, starts, ends } = reading.fields!;
    const fields: Buffer[] = [];
    for (let i = 0; i < starts.length; i += 2) fields.push(bytes.subarray(starts[i], ends[i]));
    const { db, key } = reading.query;
    const args = ['HPEXPIRETIME', key, 'FIELDS', String(fields.length), ...fields];
    this.#send(db, args, this.#onFieldExpiries, reading);
  }

  readonly #onFieldExpiries = (reply: ReplyReader, reading: Reading): void => {
    const { batch, index, expireAtMs } = reading;
    if (this.#refused(reply, batch, 'HPEXPIRETIME')) return;
    const { bytes, starts, ends } = reading.fields!;
    if (reply.kinds[0] !== replyKind.array || reply.ends[0] !== starts.length / 2) {
      // It changed in the meantime.
      laterInPortions(batch, index);
      return;
    }
    const { digest } = batch;
    digest.begin('hash');
    let there = false;
    for (let i = 0; i < starts.length; i += 2) {
      const at = reply.integer(1 + i / 2);
      // It has expired since.
      if (at === -2) continue;
      there = true;
      digest.piece(bytes, starts[i]!, ends[i]!, true);
      digest.piece(bytes, starts[i + 1]!, ends[i + 1]!, true);
      if (at >= 0) digest.fieldExpiry(at);
      digest.pairEnd();
    }
    const found = present('hash', digest.end(expireAtMs), expireAtMs);
    settle(batch, index, there ? found : { state: 'absent' });
  };

  /** One reader of portions at a time: they share a connection, which is in one database. */
  async #readPortions(queries: readonly LiveQuery[], batch: Batch): Promise<void> {
    const before = this.#portions;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#portions = promise;
    await before;
    try {
      const databases = Map.groupBy(batch.inPortions, (index) => queries[index]!.db);
      for (const indexes of databases.values()) {
        const next = indexes.values();
        const worker = async () => {
          for (const index of next) {
            const { db, key, streamDetail } = queries[index]!;
            const options = streamDetail === undefined ? batch.options : { ...batch.options, streamDetail };
            batch.found[index] = await this.#readOne(db, key, options);
          }
        };
        await Promise.all(Array.from({ length: portionsAtOnce }, worker));
      }
    } finally {
      resolve();
    }
  }

  async #readOne(db: number, key: Buffer, options: DigestOptions): Promise<LiveKey> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await readLiveKey(this.#redis, db, key, options);
      } catch (error) {
        const said = error instanceof Error ? error.message : String(error);
        // It became another type while it was read.
        if (said.startsWith('WRONGTYPE') && attempt < 4) continue;
        if (/^[A-Z]+ /.test(said)) throw refusedError(said.slice(0, 200));
        throw connectionError(this.#target, error);
      }
    }
  }

  #send<Context>(
    db: number,
    args: readonly (Buffer | string)[],
    onReply: (reply: ReplyReader, context: Context) => void,
    context: Context,
  ): void {
    if (db !== this.#db) {
      this.#db = db;
      this.#pipe.send(['SELECT', String(db)], ignored, undefined);
    }
    this.#pipe.send(args, onReply, context);
  }

  #refused(reply: ReplyReader, batch: Batch, command: string): boolean {
    if (reply.kinds[0] !== replyKind.error) return false;
    batch.fail(refusedError(`${command}: ${reply.text(0).slice(0, 200)}`));
    return true;
  }
}

const ignored = (): void => {};

const reads: Readonly<Record<DecodedType, (key: Buffer, most: number) => (Buffer | string)[]>> = {
  string: (key) => ['GETRANGE', key, '0', String(wholeBytes)],
  list: (key, most) => ['LRANGE', key, '0', String(most)],
  zset: (key, most) => ['ZRANGE', key, '0', String(most), 'WITHSCORES'],
  set: (key, most) => ['SSCAN', key, '0', 'COUNT', String(most)],
  hash: (key, most) => ['HSCAN', key, '0', 'COUNT', String(most)],
  stream: (key, most) => ['XINFO', 'STREAM', key, 'FULL', 'COUNT', String(most)],
};

/** Encodings of a hash in which no field has an expiry (https://redis.io/docs/latest/commands/object-encoding/). */
const withoutFieldExpiry = new Set(['listpack', 'ziplist']);

function isWhole(reply: ReplyReader, { type, most }: Reading): boolean {
  if (type === 'string') return reply.ends[0]! - reply.starts[0]! <= wholeBytes;
  if (type === 'list') return reply.ends[0]! <= most;
  if (type === 'zset') return reply.ends[0]! <= 2 * most;
  return reply.ends[1]! - reply.starts[1]! === 1 && reply.bytes[reply.starts[1]!] === 0x30;
}

/** Feeds what LRANGE, ZRANGE, SSCAN, HSCAN or GETRANGE answered. */
function feed(digest: ContentDigest, type: DecodedType, reply: ReplyReader): void {
  const { bytes, starts, ends, parts } = reply;
  switch (type) {
    case 'string':
      digest.piece(bytes, starts[0]!, ends[0]!, true);
      return;
    case 'zset':
      for (let part = 1; part < parts; part += 2) {
        digest.piece(bytes, starts[part]!, ends[part]!, true);
        digest.score(parseScore(bytes, starts[part + 1]!, ends[part + 1]!));
      }
      return;
    case 'hash':
      for (let part = 3; part < parts; part += 2) {
        digest.piece(bytes, starts[part]!, ends[part]!, true);
        digest.piece(bytes, starts[part + 1]!, ends[part + 1]!, true);
        digest.pairEnd();
      }
      return;
    default:
      for (let part = type === 'list' ? 1 : 3; part < parts; part++) {
        digest.piece(bytes, starts[part]!, ends[part]!, true);
      }
  }
}

/** The pairs of an answer to HSCAN, in memory of their own. */
function fieldsOf(reply: ReplyReader): FieldsRead {
  const from = reply.starts[3]!;
  const bytes = Buffer.from(reply.bytes.subarray(from, reply.ends[reply.parts - 1]!));
  const moved = (offsets: Int32Array) => offsets.slice(3, reply.parts).map((offset) => offset - from);
  return { bytes, starts: moved(reply.starts), ends: moved(reply.ends) };
}

function onEncoding(reply: ReplyReader, reading: Reading): void {
  // Where it is refused, every field is asked for its expiry.
  if (reply.kinds[0] === replyKind.bulk) reading.encoding = reply.text(0);
}

function onTimeBefore(reply: ReplyReader, reading: Reading): void {
  reading.timeBeforeMs = timeOf(reply);
}

function onTimeLeft(reply: ReplyReader, reading: Reading): void {
  reading.expireAtMs = reply.integer(0);
}

/** What TIME answers, in ms. */
function timeOf(reply: ReplyReader): number {
  return reply.kinds[0] === replyKind.array
    ? reply.integer(1) * 1000 + Math.floor(reply.integer(2) / 1000)
    : Number.NaN;
}

function present(type: DecodedType, digest: string, expireAtMs: number): LiveKey {
  return { state: 'present', type, digest, ...(expireAtMs < 0 ? {} : { expireAtMs }) };
}

function settle(batch: Batch, index: number, found: LiveKey): void {
  batch.found[index] = found;
  if (--batch.left === 0) batch.done();
}

function laterInPortions(batch: Batch, index: number): void {
  batch.inPortions.push(index);
  if (--batch.left === 0) batch.done();
}

function refusedError(said: string): RewindError {
  return new RewindError('COMPARE_REFUSED', `The server refused a command that reads: ${said}`);
}
