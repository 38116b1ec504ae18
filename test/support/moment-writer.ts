import type { Redis } from 'ioredis';
import type { Random } from '../../scripts/bench/random.ts';
import {
  momentCommands,
  momentDatabases,
  preparedCommands,
  randomKey,
  randomValue,
  relativeExpiries,
  type SentCommand,
} from './moment-commands.ts';

/** One operation of the writer: where, what, and whether it reaches the file as one command or transaction. */
export interface WrittenOperation {
  readonly db: number;
  /** As another server has to be told, to come to the same: what was left to chance is written out. */
  readonly commands: readonly SentCommand[];
}

/** Marks the end of an operation in the file; its number is the operation's. */
export const marker = '\0sequence';

/** Sends write commands by chance and records what another server has to be told. The same seed sends the same. */
export class MomentWriter {
  readonly operations: WrittenOperation[] = [];
  /** Commands that a server took, as its own table names them. */
  readonly taken = new Set<string>();
  readonly #random: Random;
  readonly #commands: readonly (() => SentCommand)[];
  readonly #relative: readonly (() => SentCommand)[];
  readonly #prepared: ReturnType<typeof preparedCommands>;
  /** Where MIGRATE sends keys to. */
  readonly #elsewhere: number | undefined;
  #db = -1;

  /** @param elsewhere port of a server on this machine that takes keys away */
  constructor(random: Random, elsewhere?: number) {
    this.#random = random;
    this.#commands = momentCommands(random);
    this.#relative = relativeExpiries(random);
    this.#prepared = preparedCommands(random);
    this.#elsewhere = elsewhere;
  }

  /** Another server, or another connection, follows. */
  reconnected(): void {
    this.#db = -1;
  }

  /** One operation with its marker. @param other a second connection to the same server, for one that blocks */
  async step(redis: Redis, other: Redis): Promise<void> {
    const db = this.#random.pick(momentDatabases);
    if (db !== this.#db) await redis.select(db);
    this.#db = db;
    const commands = await this.#send(redis, other, db);
    await redis.call('SET', marker, String(this.operations.length));
    this.operations.push({ db, commands });
  }

  async #send(redis: Redis, other: Redis, db: number): Promise<readonly SentCommand[]> {
    const random = this.#random;
    const kind = random.below(100);
    if (kind < 8) return this.#transaction(redis);
    if (kind < 13) return this.#blocked(redis, other, db);
    if (kind < 14) {
      return this.#one(redis, random.pick([['FLUSHDB'], ['FLUSHALL'], ['SWAPDB', 1, 9], ['FLUSHALL', 'ASYNC']]));
    }
    if (kind < 19) return this.#functions(redis);
    if (kind < 23) {
      // One that ends with an error has done what stands before it.
      const script = `redis.call('SET', KEYS[1], ARGV[1]) redis.call('RPUSH', KEYS[2], ARGV[1]) ${random.chance(0.2) ? "error('x')" : ''} return redis.call('INCR', KEYS[3])`;
      const keys = ['s', 'l', 'n'].map((each) => randomKey(random, each));
      return this.#one(redis, ['EVAL', script, 3, ...keys, randomValue(random)]);
    }
    if (kind < 27) return this.#withTime(redis);
    if (kind < 33) return this.#chosenByServer(redis);
    if (kind < 35) return this.#expired(redis);
    if (kind < 39) {
      const pair = random.pick(this.#prepared)();
      for (const command of pair) await this.#reply(redis, command);
      return pair;
    }
    return this.#one(redis, random.pick(this.#commands)());
  }

  async #one(redis: Redis, command: SentCommand): Promise<readonly SentCommand[]> {
    await this.#reply(redis, command);
    return [command];
  }

  /** The answer, or undefined for a refusal: those are the same everywhere. */
  async #reply(redis: Redis, command: SentCommand): Promise<unknown> {
    const answer = await ask(redis, command);
    if (answer instanceof Error) return undefined;
    this.taken.add(nameOf(command));
    return answer;
  }

  async #transaction(redis: Redis): Promise<readonly SentCommand[]> {
    const commands = Array.from({ length: this.#random.between(1, 4) }, () => this.#random.pick(this.#commands)());
    const transaction = redis.multi();
    for (const [verb, ...args] of commands) transaction.call(String(verb), ...args);
    // One that the server does not know ends the whole of it.
    const done = await transaction.exec().catch(unlessGone);
    if (!done) return [];
    for (const [i, [error]] of done.entries()) if (!error) this.taken.add(nameOf(commands[i] as SentCommand));
    return commands;
  }

  async #functions(redis: Redis): Promise<readonly SentCommand[]> {
    const random = this.#random;
    const name = `lib${random.below(3)}`;
    const code = `#!lua name=${name}\nredis.register_function('${name}', function(keys) return redis.call('INCRBY', keys[1], ${random.below(1e6)}) end)`;
    const kind = random.below(8);
    if (kind < 3) return this.#one(redis, ['FUNCTION', 'LOAD', 'REPLACE', code]);
    if (kind < 5) return this.#one(redis, ['FCALL', name, 1, randomKey(random, 'n')]);
    if (kind === 5) return this.#one(redis, ['FUNCTION', 'DELETE', name]);
    if (kind === 6) return this.#one(redis, ['FUNCTION', 'FLUSH']);
    const payload = (await redis.callBuffer('FUNCTION', 'DUMP')) as Buffer;
    return this.#one(redis, ['FUNCTION', 'RESTORE', payload, 'REPLACE']);
  }

  /** Another server is told of the time that came of it. */
  async #withTime(redis: Redis): Promise<readonly SentCommand[]> {
    const command = this.#random.pick(this.#relative)();
    await this.#reply(redis, command);
    const key = command[1] as string;
    const time = Number(await redis.call('PEXPIRETIME', key));
    return time > 0 ? [command, ['PEXPIREAT', key, time]] : [command];
  }

  /** Something waits, and takes what comes. */
  async #blocked(redis: Redis, other: Redis, db: number): Promise<readonly SentCommand[]> {
    const key = `waited:${this.operations.length}`;
    const to = randomKey(this.#random, 'l');
    const value = randomValue(this.#random);
    const list: SentCommand = ['RPUSH', key, value, 'second'];
    const sorted: SentCommand = ['ZADD', key, 1, 'first', 2, 'second'];
    const [blocked, push, pop] = this.#random.pick<readonly [SentCommand, SentCommand, SentCommand]>([
      [['BLPOP', key, 0], list, ['LPOP', key]],
      [['BRPOP', key, 0], list, ['RPOP', key]],
      [['BLMPOP', 0, 1, key, 'LEFT', 'COUNT', 2], list, ['LMPOP', 1, key, 'LEFT', 'COUNT', 2]],
      [['BLMOVE', key, to, 'LEFT', 'RIGHT', 0], list, ['LMOVE', key, to, 'LEFT', 'RIGHT']],
      [['BRPOPLPUSH', key, to, 0], list, ['RPOPLPUSH', key, to]],
      [['BZPOPMIN', key, 0], sorted, ['ZPOPMIN', key]],
      [['BZPOPMAX', key, 0], sorted, ['ZPOPMAX', key]],
      [['BZMPOP', 0, 1, key, 'MIN'], sorted, ['ZMPOP', 1, key, 'MIN']],
    ]);
    await other.select(db);
    const popped = ask(other, blocked);
    const verb = String(blocked[0]).toLowerCase();
    while (!String(await redis.client('LIST')).includes(`cmd=${verb}`));
    await this.#reply(redis, push);
    // Where it would go to is no list: it still waits, or was refused.
    if (!((await popped) instanceof Error)) this.taken.add(verb);
    return [push, pop];
  }

  /** What the server chooses itself is asked of it. */
  async #chosenByServer(redis: Redis): Promise<readonly SentCommand[]> {
    const random = this.#random;
    const kind = random.below(5);
    if (kind === 0) {
      const key = randomKey(random, 'set');
      const popped = (await this.#reply(redis, ['SPOP', key, random.between(1, 3)])) as Buffer[] | undefined;
      return popped?.length ? [['SREM', key, ...popped]] : [];
    }
    if (kind === 1) {
      const key = randomKey(random, 'x');
      const value = randomValue(random);
      const id = await this.#reply(redis, ['XADD', key, '*', 'field', value]);
      return id === undefined ? [] : [['XADD', key, String(id), 'field', value]];
    }
    if (kind < 4) {
      const payload = await ask(redis, ['DUMP', randomKey(random, random.pick(['z', 'h', 'l', 'x']))]);
      if (!Buffer.isBuffer(payload)) return [];
      const key = randomKey(random, 's');
      return this.#one(redis, [random.pick(['RESTORE', 'RESTORE-ASKING']), key, 0, payload, 'REPLACE']);
    }
    if (this.#elsewhere === undefined) return [];
    const key = randomKey(random, 's');
    const moved = await this.#reply(redis, ['MIGRATE', '127.0.0.1', this.#elsewhere, key, 0, 60_000, 'REPLACE']);
    return String(moved) === 'OK' ? [['DEL', key]] : [];
  }

  /** A key that runs out of its time, and is found to have. */
  async #expired(redis: Redis): Promise<readonly SentCommand[]> {
    const key = randomKey(this.#random, 's');
    await this.#reply(redis, ['SET', key, randomValue(this.#random), 'PX', 1]);
    while ((await redis.exists(key)) === 1);
    return [['DEL', key]];
  }
}

/** As the server's own table writes it. */
function nameOf([verb, sub]: SentCommand): string {
  const name = String(verb).toLowerCase();
  return name === 'function' || name === 'xgroup' ? `${name}|${String(sub).toLowerCase()}` : name;
}

/** A refusal (a wrong type, a key that is not there) is an answer. @throws where the server is not there */
export async function ask(redis: Redis, [verb, ...args]: SentCommand): Promise<unknown> {
  try {
    return await redis.callBuffer(String(verb), ...args);
  } catch (error) {
    unlessGone(error as Error);
    return error;
  }
}

function unlessGone(error: Error): undefined {
  if (/closed|ECONN|READONLY|LOADING|MISCONF/.test(error.message)) throw error;
  return undefined;
}
