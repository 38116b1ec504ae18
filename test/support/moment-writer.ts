import type { Redis } from 'ioredis';
import type { Random } from '../../scripts/bench/random.ts';

type Word = string | number | Buffer;
export type SentCommand = readonly Word[];

/** One operation of the writer: where, what, and whether it reaches the file as one command or transaction. */
export interface WrittenOperation {
  readonly db: number;
  /** As another server has to be told, to come to the same: what was left to chance is written out. */
  readonly commands: readonly SentCommand[];
}

/** Marks the end of an operation in the file; its number is the operation's. */
export const marker = '\0sequence';
const databases = [0, 1, 9];
/** Years away: nothing expires while a test runs. */
const far = 400_000_000;

/** Sends write commands by chance and records what another server has to be told. The same seed sends the same. */
export class MomentWriter {
  readonly operations: WrittenOperation[] = [];
  readonly #random: Random;
  #db = -1;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Another server, or another connection, follows. */
  reconnected(): void {
    this.#db = -1;
  }

  /** One operation with its marker. @param other a second connection to the same server, for one that blocks */
  async step(redis: Redis, other: Redis): Promise<void> {
    const random = this.#random;
    const db = random.pick(databases);
    if (db !== this.#db) await redis.select(db);
    this.#db = db;
    const commands = await this.#send(redis, other, db);
    await redis.call('SET', marker, String(this.operations.length));
    this.operations.push({ db, commands });
  }

  async #send(redis: Redis, other: Redis, db: number): Promise<SentCommand[]> {
    const random = this.#random;
    const kind = random.below(100);
    if (kind < 8) return this.#transaction(redis);
    if (kind < 12) return this.#blocked(redis, other, db);
    if (kind < 13) {
      const command = random.pick([['FLUSHDB'], ['FLUSHALL'], ['SWAPDB', 1, 9], ['FLUSHALL', 'ASYNC']] as const);
      return [await sendOne(redis, command)];
    }
    if (kind < 16) {
      const code = `#!lua name=lib${random.below(3)}\nredis.register_function('f${random.below(1e6)}', function() return 1 end)`;
      return [await sendOne(redis, ['FUNCTION', 'LOAD', 'REPLACE', code])];
    }
    if (kind < 20) {
      const script =
        "redis.call('SET', KEYS[1], ARGV[1]) redis.call('RPUSH', KEYS[2], ARGV[1]) return redis.call('INCR', KEYS[3])";
      return [await sendOne(redis, ['EVAL', script, 3, this.#key('s'), this.#key('l'), this.#key('n'), this.#value()])];
    }
    return [await this.#one(redis)];
  }

  async #transaction(redis: Redis): Promise<SentCommand[]> {
    const commands = Array.from({ length: this.#random.between(1, 4) }, () => this.#command());
    const transaction = redis.multi();
    for (const [verb, ...args] of commands) transaction.call(String(verb), ...args);
    await transaction.exec();
    return commands;
  }

  /** Somebody waits for what is pushed. */
  async #blocked(redis: Redis, other: Redis, db: number): Promise<SentCommand[]> {
    const key = `waited:${this.operations.length}`;
    await other.select(db);
    const popped = other.blpop(key, 0);
    for (;;) {
      const clients = String(await redis.client('LIST'));
      if (/cmd=blpop/.test(clients)) break;
    }
    const value = this.#value();
    await redis.rpush(key, value, 'second');
    await popped;
    return [
      ['RPUSH', key, value, 'second'],
      ['LPOP', key],
    ];
  }

  /** What the server chooses itself is asked of it. */
  async #one(redis: Redis): Promise<SentCommand> {
    const random = this.#random;
    const kind = random.below(20);
    if (kind === 0) {
      const key = this.#key('set');
      const popped = (await redis.callBuffer('SPOP', key, random.between(1, 3))) as Buffer[];
      return popped.length === 0 ? ['PING'] : ['SREM', key, ...popped];
    }
    if (kind === 1) {
      const key = this.#key('x');
      const value = this.#value();
      const id = String(await redis.call('XADD', key, '*', 'field', value));
      return ['XADD', key, id, 'field', value];
    }
    return sendOne(redis, this.#command());
  }

  #command(): SentCommand {
    const random = this.#random;
    const key = (kind: string) => this.#key(kind);
    const value = () => this.#value();
    const number = () => random.between(-1_000, 1_000);
    const all: (() => SentCommand)[] = [
      () => ['SET', key('s'), value()],
      () => ['SET', key('s'), value(), 'EX', far],
      () => ['SETEX', key('s'), far, value()],
      () => ['SETNX', key('s'), value()],
      () => ['GETSET', key('s'), value()],
      () => ['GETDEL', key('s')],
      () => ['GETEX', key('s'), 'EX', far],
      () => ['MSET', key('s'), value(), key('s'), value()],
      () => ['APPEND', key('s'), value()],
      () => ['SETRANGE', key('s'), random.below(50), value()],
      () => ['SETBIT', key('s'), random.below(2_000), random.below(2)],
      () => ['BITOP', 'XOR', key('s'), key('s'), key('s')],
      () => ['INCRBY', key('n'), number()],
      () => ['DECR', key('n')],
      () => ['INCRBYFLOAT', key('f'), '0.5'],
      () => ['RPUSH', key('l'), value(), value()],
      () => ['LPUSH', key('l'), value()],
      () => ['LPOP', key('l')],
      () => ['LTRIM', key('l'), 0, 30],
      () => ['LREM', key('l'), 1, value()],
      () => ['RPOPLPUSH', key('l'), key('l')],
      () => ['LMOVE', key('l'), key('l'), 'LEFT', 'RIGHT'],
      () => ['SADD', key('set'), value(), number()],
      () => ['SREM', key('set'), number()],
      () => ['SMOVE', key('set'), key('set'), number()],
      () => ['SUNIONSTORE', key('set'), key('set'), key('set')],
      () => ['ZADD', key('z'), number(), value()],
      () => ['ZINCRBY', key('z'), '1.5', value()],
      () => ['ZPOPMIN', key('z')],
      () => ['ZUNIONSTORE', key('z'), 2, key('z'), key('z')],
      () => ['ZREMRANGEBYRANK', key('z'), 0, 0],
      () => ['HSET', key('h'), `field:${random.below(9)}`, value()],
      () => ['HINCRBY', key('hn'), `field:${random.below(9)}`, number()],
      () => ['HDEL', key('h'), `field:${random.below(9)}`],
      () => ['XTRIM', key('x'), 'MAXLEN', random.below(6)],
      () => ['PFADD', key('pf'), value()],
      () => ['PFMERGE', key('pf'), key('pf')],
      () => ['GEOADD', key('geo'), random.below(90), random.below(80), `m${random.below(9)}`],
      () => ['EXPIRE', key(random.pick(['s', 'l', 'h'])), far],
      () => ['PEXPIREAT', key('s'), 1_000],
      () => ['PERSIST', key('s')],
      () => ['DEL', key('s'), key('l')],
      () => ['UNLINK', key('z'), key('h')],
      () => ['COPY', key('l'), key('l'), 'REPLACE'],
      () => ['MOVE', key('set'), random.pick(databases)],
      () => ['SORT', key('set'), 'ALPHA', 'STORE', key('l')],
      () => ['RENAMENX', key('h'), key('h')],
    ];
    return random.pick(all)();
  }

  #key = (kind: string): string => `${kind}:${this.#random.below(6)}`;

  /** What cuts an append-only file line by line, or ends a string, breaks on some of these. */
  #value(): Buffer | string {
    const random = this.#random;
    const words = ['', '\r\n', '\0', '*1\r\n$8\r\nflushall\r\n', '#TS:1\r\n', '$-1\r\n', 'MULTI', 'plain'];
    return random.chance(0.5) ? random.pick(words) : random.bytes(random.below(random.chance(0.05) ? 9_000 : 40));
  }
}

/** Refusals (a wrong type, a key that is not there) are the same everywhere. */
export async function sendOne(redis: Redis, command: SentCommand): Promise<SentCommand> {
  const [verb, ...args] = command;
  await redis.call(String(verb), ...args).catch((error: Error) => {
    if (/closed|ECONN|READONLY|LOADING|MISCONF/.test(error.message)) throw error;
  });
  return command;
}
