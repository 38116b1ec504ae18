import type { Redis } from 'ioredis';
import { Random } from '../../scripts/bench/random.ts';
import { farExpiry } from './command-cases.ts';
import type { Flavour } from './servers.ts';

/** Where a hash's field has an expiry of its own. */
export const withFieldExpiries: ReadonlySet<Flavour> = new Set<Flavour>(['redis-8.2', 'valkey-9']);

export interface RandomDataOptions {
  readonly flavour: Flavour;
  readonly seed: number;
  /** Commands that are sent, about: a third of them begins a key. */
  readonly commands: number;
}

type Argument = string | number | Buffer;

/** Names from before 7.0, which every later server still takes. */
const limits: readonly (readonly [string, readonly number[]])[] = [
  ['hash-max-ziplist-entries', [0, 3, 128]],
  ['hash-max-ziplist-value', [4, 64]],
  ['zset-max-ziplist-entries', [0, 3, 128]],
  ['zset-max-ziplist-value', [4, 64]],
  ['set-max-intset-entries', [0, 3, 512]],
  ['list-max-ziplist-size', [-2, 1, 3, 20]],
  ['list-compress-depth', [0, 1]],
  ['stream-node-max-entries', [1, 4, 100]],
];

/**
 * Sends commands by chance: every type, each encoding that random limits bring about, databases, expiries of keys and
 * fields, groups with pending entries, function libraries. All expiries are far away. The same seed sends the same.
 */
export async function fillByChance(redis: Redis, { flavour, seed, commands }: RandomDataOptions): Promise<void> {
  const random = new Random(seed);
  for (const [name, values] of limits) await redis.config('SET', name, random.pick(values));
  if (!['redis-6.2', 'redis-7.0'].includes(flavour)) {
    await redis.config('SET', 'set-max-listpack-entries', random.pick([0, 3, 128]));
  }
  const databases = [0, random.between(1, 6), random.between(7, 15)];
  const perDatabase = Math.ceil(commands / databases.length);
  for (const db of databases) {
    await redis.select(db);
    for (let sent = 0; sent < perDatabase; ) {
      const pipeline = redis.pipeline();
      for (let i = 0; i < 200 && sent < perDatabase; i++, sent++) {
        for (const [verb, ...args] of oneStep(random, sent, withFieldExpiries.has(flavour))) {
          pipeline.call(String(verb), ...(args as (string | number | Buffer)[]));
        }
      }
      // Some are refused: a wrong type, a group that is not there. That is a part of the chance.
      await pipeline.exec();
    }
  }
  await redis.select(0);
  if (flavour === 'redis-6.2') return;
  for (let i = random.below(3); i > 0; i--) {
    const code = `#!lua name=lib${i}\nredis.register_function('f${i}', function() return ${random.below(1e6)} end)`;
    await redis.call('FUNCTION', 'LOAD', 'REPLACE', code);
  }
}

type Kind = 'string' | 'hash' | 'list' | 'set' | 'zset' | 'stream';
const kinds: readonly Kind[] = ['string', 'hash', 'list', 'set', 'zset', 'stream'];

function oneStep(random: Random, at: number, fieldExpiries: boolean): Argument[][] {
  const kind = random.pick(kinds);
  const key = `${kind}:${random.below(24)}`;
  if (random.chance(0.08)) return [['PEXPIREAT', key, farExpiry + random.below(1e9)]];
  if (random.chance(0.03)) return [['PERSIST', key]];
  if (random.chance(0.04)) return [['DEL', key]];
  if (random.chance(0.03)) return [['RENAME', key, `${kind}:${random.below(24)}`]];
  switch (kind) {
    case 'string':
      return [stringStep(random, key)];
    case 'hash':
      return hashStep(random, key, fieldExpiries);
    case 'list':
      return [listStep(random, key)];
    case 'set':
      return [setStep(random, key)];
    case 'zset':
      return [zsetStep(random, key)];
    case 'stream':
      return streamStep(random, at, key);
  }
}

function value(random: Random): Argument {
  switch (random.below(8)) {
    case 0:
      return '';
    case 1:
      return random.below(256) - 128;
    case 2:
      return random.bits() - 0x8000_0000;
    case 3:
      return String(BigInt.asIntN(64, (BigInt(random.bits()) << 32n) | BigInt(random.bits())));
    case 4:
      return random.bytes(random.between(1, 40));
    case 5:
      return 'abcdefgh '.repeat(random.between(1, random.chance(0.05) ? 9000 : 40));
    default:
      return `value ${random.below(1000)}`;
  }
}

const values = (random: Random, most: number): Argument[] =>
  Array.from({ length: random.between(1, random.chance(0.05) ? most * 12 : most) }, () => value(random));

function stringStep(random: Random, key: string): Argument[] {
  const step = random.below(9);
  if (step === 0) return ['APPEND', key, value(random)];
  if (step === 1) return ['INCRBY', key, random.below(1000)];
  if (step === 2) return ['SETBIT', key, random.below(4000), 1];
  if (step === 3) return ['SETRANGE', key, random.below(100), random.bytes(9)];
  if (step === 4) return ['PFADD', `string:hll:${random.below(3)}`, ...values(random, 9)];
  return ['SET', key, value(random)];
}

function hashStep(random: Random, key: string, fieldExpiries: boolean): Argument[][] {
  const fields = values(random, 5);
  if (random.chance(0.15)) return [['HDEL', key, ...fields]];
  const steps: Argument[][] = [['HSET', key, ...fields.flatMap((field) => [field, value(random)])]];
  if (fieldExpiries && random.chance(0.4)) {
    const at = farExpiry + random.below(1e9);
    steps.push(['HPEXPIREAT', key, at, 'FIELDS', fields.length, ...fields]);
  }
  return steps;
}

function listStep(random: Random, key: string): Argument[] {
  const step = random.below(8);
  if (step === 0) return ['LPOP', key];
  if (step === 1) return ['LREM', key, 1, value(random)];
  if (step === 2) return ['LSET', key, 0, value(random)];
  if (step === 3) return ['LTRIM', key, 0, random.between(0, 30)];
  return [random.chance(0.5) ? 'LPUSH' : 'RPUSH', key, ...values(random, 6)];
}

function setStep(random: Random, key: string): Argument[] {
  if (random.chance(0.15)) return ['SREM', key, ...values(random, 6)];
  if (random.chance(0.4)) {
    const members = Array.from({ length: random.between(1, 8) }, () => random.below(2 ** random.between(3, 45)));
    return ['SADD', `set:int:${random.below(8)}`, ...members];
  }
  return ['SADD', key, ...values(random, 6)];
}

function zsetStep(random: Random, key: string): Argument[] {
  if (random.chance(0.1)) return ['ZREM', key, ...values(random, 6)];
  if (random.chance(0.1)) return ['GEOADD', `zset:geo:${random.below(3)}`, 13.3 + random.below(99) / 7, 38.1, 'town'];
  // No -0: servers forget its sign in some encodings, and their own DEBUG DIGEST then differs after a restart.
  const scores: Argument[] = ['inf', '-inf', '5e-324', '1e308', 0.1, '9007199254740993'];
  return [
    'ZADD',
    key,
    ...values(random, 6).flatMap((member) => [
      random.chance(0.3) ? random.pick(scores) : (random.bits() - 0x8000_0000) / random.pick([1, 7, 1021]),
      member,
    ]),
  ];
}

/** @param at what ids go up to by now: those of entries only grow */
function streamStep(random: Random, at: number, key: string): Argument[][] {
  const id = () => `${random.between(1, at + 1)}-${random.below(3)}`;
  const group = `group:${random.below(3)}`;
  const consumer = `consumer:${random.below(4)}`;
  switch (random.below(10)) {
    case 0:
      return [['XGROUP', 'CREATE', key, group, random.pick(['0', '$', '100']), 'MKSTREAM']];
    case 1:
      return [['XREADGROUP', 'GROUP', group, consumer, 'COUNT', random.between(1, 9), 'STREAMS', key, '>']];
    case 2:
      return [['XACK', key, group, id(), id(), id(), id()]];
    case 3:
      return [
        ['XCLAIM', key, group, consumer, 0, id(), id(), 'TIME', 1.7e12 + random.below(1e9), 'RETRYCOUNT', 3, 'FORCE'],
      ];
    case 4:
      return [['XDEL', key, id(), id(), id(), id()]];
    case 5:
      return [['XTRIM', key, 'MAXLEN', random.between(0, 60)]];
    case 6:
      return [['XGROUP', 'CREATECONSUMER', key, group, consumer]];
    default: {
      const steps: Argument[][] = [];
      const same = random.chance(0.7) ? ['event', 'amount'] : ['event', `f${random.below(9)}`, ''];
      for (let i = 0; i < random.between(1, 6); i++) {
        steps.push(['XADD', key, `${at + 1}-${i}`, ...same.flatMap((field) => [field, value(random)])]);
      }
      return steps;
    }
  }
}
