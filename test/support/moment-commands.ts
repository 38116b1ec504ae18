import type { Random } from '../../scripts/bench/random.ts';

type Word = string | number | Buffer;
export type SentCommand = readonly Word[];

export const momentDatabases = [0, 1, 9];
/** Seconds, years away: nothing expires while a test runs. */
const far = 400_000_000;
/** The same in Unix seconds: whoever is told later comes to the same time. */
const farAway = 4_000_000_000;

/** What cuts an append-only file line by line, or ends a string, breaks on some of these. */
export function randomValue(random: Random): Buffer | string {
  const words = ['', '\r\n', '\0', '*1\r\n$8\r\nflushall\r\n', '#TS:1\r\n', '$-1\r\n', 'MULTI', 'plain'];
  return random.chance(0.5) ? random.pick(words) : random.bytes(random.below(random.chance(0.05) ? 9_000 : 40));
}

/** Now and then of another type than the command wants. */
export function randomKey(random: Random, kind: string): string {
  const kinds = ['s', 'n', 'l', 'set', 'z', 'h', 'x'];
  return `${random.chance(0.02) ? random.pick(kinds) : kind}:${random.below(6)}`;
}

/**
 * Write commands whose effect is the same wherever they are sent, on every server that is tested. Nearly all that the servers'
 * own tables have stand here: those that another connection, another server or chance has a part in stand with the writer.
 */
export function momentCommands(random: Random): readonly (() => SentCommand)[] {
  const key = (kind: string) => randomKey(random, kind);
  const value = () => randomValue(random);
  const number = () => random.between(-1_000, 1_000);
  const member = () => `m${random.below(9)}`;
  const field = () => `field:${random.below(9)}`;
  const group = () => `group:${random.below(2)}`;
  const consumer = () => `consumer:${random.below(3)}`;
  const side = () => random.pick(['LEFT', 'RIGHT']);
  const id = () => `${random.between(1, 9)}-${random.below(3)}`;
  const geo = () => [random.below(90), random.below(80)] as const;
  return [
    () => ['SET', key('s'), value()],
    () => ['SET', key('s'), value(), 'EXAT', farAway],
    () => ['SET', key('s'), value(), random.pick(['NX', 'XX']), 'KEEPTTL'],
    () => ['SET', key('s'), value(), 'GET'],
    () => ['SETNX', key('s'), value()],
    () => ['GETSET', key('s'), value()],
    () => ['GETDEL', key('s')],
    () => ['GETEX', key('s'), ...random.pick([['EXAT', farAway] as const, ['PERSIST'] as const])],
    () => ['MSET', key('s'), value(), key('s'), value()],
    () => ['MSETNX', key('s'), value(), key('n'), number()],
    () => ['APPEND', key('s'), value()],
    () => ['SETRANGE', key('s'), random.below(50), value()],
    () => ['SETBIT', key('s'), random.below(2_000), random.below(2)],
    () => ['BITFIELD', key('s'), 'SET', 'u8', random.below(64), random.below(256), 'INCRBY', 'i5', 3, 1],
    () => ['BITOP', random.pick(['XOR', 'AND', 'OR']), key('s'), key('s'), key('s')],
    () => ['INCR', key('n')],
    () => ['INCRBY', key('n'), number()],
    () => ['DECR', key('n')],
    () => ['DECRBY', key('n'), number()],
    () => ['INCRBYFLOAT', key('f'), '0.5'],
    () => ['RPUSH', key('l'), value(), value()],
    () => ['LPUSH', key('l'), value()],
    () => ['RPUSHX', key('l'), value()],
    () => ['LPUSHX', key('l'), value()],
    () => ['LPOP', key('l')],
    () => ['RPOP', key('l'), random.between(1, 3)],
    () => ['LINSERT', key('l'), 'BEFORE', 'plain', value()],
    // From its end: any list has that, so that some of them are taken.
    () => ['LSET', key('l'), -1 - random.below(2), value()],
    () => ['LTRIM', key('l'), 0, 30],
    () => ['LREM', key('l'), 1, value()],
    () => ['RPOPLPUSH', key('l'), key('l')],
    () => ['LMOVE', key('l'), key('l'), side(), side()],
    () => ['LMPOP', 2, key('l'), key('l'), side(), 'COUNT', random.between(1, 3)],
    () => ['SADD', key('set'), value(), number(), member()],
    () => ['SREM', key('set'), number(), member()],
    () => ['SMOVE', key('set'), key('set'), member()],
    () => ['SUNIONSTORE', key('set'), key('set'), key('set')],
    () => ['SINTERSTORE', key('set'), key('set'), key('set')],
    () => ['SDIFFSTORE', key('set'), key('set'), key('set')],
    () => ['ZADD', key('z'), number(), value(), number(), member()],
    () => ['ZADD', key('z'), random.pick(['NX', 'XX']), 'CH', number(), member()],
    () => ['ZINCRBY', key('z'), '1.5', member()],
    () => ['ZREM', key('z'), member()],
    () => ['ZPOPMIN', key('z')],
    () => ['ZPOPMAX', key('z')],
    () => ['ZMPOP', 2, key('z'), key('z'), random.pick(['MIN', 'MAX'])],
    () => ['ZUNIONSTORE', key('z'), 2, key('z'), key('z')],
    () => ['ZINTERSTORE', key('z'), 2, key('z'), key('z')],
    () => ['ZDIFFSTORE', key('z'), 2, key('z'), key('z')],
    () => ['ZRANGESTORE', key('z'), key('z'), 0, 5],
    () => ['ZREMRANGEBYRANK', key('z'), 0, 0],
    () => ['ZREMRANGEBYSCORE', key('z'), 900, '+inf'],
    () => ['ZREMRANGEBYLEX', key('z'), '[m8', '+'],
    () => ['HSET', key('h'), field(), value()],
    () => ['HMSET', key('h'), field(), value(), field(), value()],
    () => ['HSETNX', key('h'), field(), value()],
    () => ['HINCRBY', key('hn'), field(), number()],
    () => ['HINCRBYFLOAT', key('hn'), field(), '0.25'],
    () => ['HDEL', key('h'), field()],
    () => ['XADD', key('x'), `${random.between(1, 9)}-*`, field(), value()],
    () => ['XTRIM', key('x'), 'MAXLEN', random.below(6)],
    () => ['XDEL', key('x'), id()],
    () => ['XSETID', key('x'), `99-${random.below(99)}`],
    () => ['XGROUP', 'CREATE', key('x'), group(), random.pick(['0', '$']), 'MKSTREAM'],
    () => ['XGROUP', 'CREATECONSUMER', key('x'), group(), consumer()],
    () => ['XGROUP', 'DELCONSUMER', key('x'), group(), consumer()],
    () => ['XGROUP', 'SETID', key('x'), group(), '0'],
    () => ['XGROUP', 'DESTROY', key('x'), group()],
    () => ['XREADGROUP', 'GROUP', group(), consumer(), 'COUNT', 2, 'STREAMS', key('x'), '>'],
    () => ['XACK', key('x'), group(), id()],
    () => ['XCLAIM', key('x'), group(), consumer(), 0, id()],
    () => ['XAUTOCLAIM', key('x'), group(), consumer(), 0, '0-0', 'COUNT', 2],
    () => ['PFADD', key('pf'), value()],
    () => ['PFMERGE', key('pf'), key('pf')],
    () => ['PFDEBUG', 'TODENSE', key('pf')],
    () => ['GEOADD', key('geo'), ...geo(), member()],
    () => ['GEOSEARCHSTORE', key('z'), key('geo'), 'FROMLONLAT', ...geo(), 'BYRADIUS', 3_000, 'km'],
    () => ['GEORADIUS', key('geo'), ...geo(), 4_000, 'km', 'STORE', key('z')],
    () => ['GEORADIUSBYMEMBER', key('geo'), member(), 4_000, 'km', 'STOREDIST', key('z')],
    () => ['EXPIREAT', key(random.pick(['s', 'l', 'h'])), farAway],
    () => ['PEXPIREAT', key('z'), farAway * 1_000 + random.below(1_000)],
    () => ['PEXPIREAT', key('s'), 1_000],
    () => ['PERSIST', key('s')],
    () => ['DEL', key('s'), key('l')],
    () => ['UNLINK', key('z'), key('h')],
    () => ['COPY', key('l'), key('l'), 'REPLACE'],
    () => ['MOVE', key('set'), random.pick(momentDatabases)],
    () => ['SORT', key('set'), 'ALPHA', 'STORE', key('l')],
    () => ['RENAME', key('z'), key('z')],
    () => ['RENAMENX', key('h'), key('h')],
    // Of newer servers; an older one refuses them, as the one that it is compared with does.
    () => ['HEXPIREAT', key('h'), farAway, 'FIELDS', 1, field()],
    () => ['HPEXPIREAT', key('h'), farAway * 1_000 + 5, 'FIELDS', 1, field()],
    () => ['HPERSIST', key('h'), 'FIELDS', 1, field()],
    () => ['HGETDEL', key('h'), 'FIELDS', 1, field()],
    () => ['HGETEX', key('h'), 'EXAT', farAway, 'FIELDS', 1, field()],
    () => ['HSETEX', key('h'), 'EXAT', farAway, 'FIELDS', 1, field(), value()],
    () => ['XACKDEL', key('x'), group(), 'DELREF', 'IDS', 1, id()],
    () => ['XDELEX', key('x'), 'KEEPREF', 'IDS', 1, id()],
    () => ['SET', key('s'), value(), 'IFEQ', 'plain'],
    () => ['DELIFEQ', key('s'), 'plain'],
    () => ['MSETEX', 2, key('s'), value(), key('s'), value(), 'EXAT', farAway],
  ];
}

/** Those whose time counts from when they come: only sent where the time that came of it can be asked for at once. */
export function relativeExpiries(random: Random): readonly (() => SentCommand)[] {
  const key = (kind: string) => randomKey(random, kind);
  const value = () => randomValue(random);
  const fields = () => ['FIELDS', 1, `field:${random.below(9)}`] as const;
  return [
    () => ['SET', key('s'), value(), 'EX', far],
    () => ['SETEX', key('s'), far, value()],
    () => ['PSETEX', key('s'), far * 1_000, value()],
    () => ['GETEX', key('s'), 'EX', far],
    () => ['EXPIRE', key('l'), far],
    () => ['PEXPIRE', key('h'), far * 1_000],
    () => ['HEXPIRE', key('h'), far, ...fields()],
    () => ['HPEXPIRE', key('h'), far * 1_000, ...fields()],
  ];
}

/** Two commands, of which the second wants what the first makes. */
export function preparedCommands(random: Random): readonly (() => readonly [SentCommand, SentCommand])[] {
  const pf = () => `pf:${random.below(6)}`;
  const stream = () => `x:${random.below(6)}`;
  const group = () => `group:${random.below(2)}`;
  const consumer = () => `consumer:${random.below(3)}`;
  const ofGroup = (command: (key: string, name: string) => SentCommand) => () => {
    const [key, name] = [stream(), group()];
    return [['XGROUP', 'CREATE', key, name, '0', 'MKSTREAM'], command(key, name)] as const;
  };
  return [
    () => {
      const key = pf();
      return [
        ['PFADD', key, randomValue(random)],
        ['PFDEBUG', 'TODENSE', key],
      ];
    },
    ofGroup((key, name) => ['XREADGROUP', 'GROUP', name, consumer(), 'COUNT', 2, 'STREAMS', key, '>']),
    ofGroup((key, name) => ['XREADGROUP', 'GROUP', name, consumer(), 'NOACK', 'STREAMS', key, '>']),
    ofGroup((key, name) => ['XCLAIM', key, name, consumer(), 0, `${random.between(1, 9)}-0`]),
    ofGroup((key, name) => ['XAUTOCLAIM', key, name, consumer(), 0, '0-0', 'COUNT', 2]),
    ofGroup((key, name) => ['XACK', key, name, `${random.between(1, 9)}-0`]),
    ofGroup((key, name) => ['XACKDEL', key, name, 'DELREF', 'IDS', 1, `${random.between(1, 9)}-0`]),
    ofGroup((key, name) => ['XGROUP', 'CREATECONSUMER', key, name, consumer()]),
    ofGroup((key, name) => ['XGROUP', 'DELCONSUMER', key, name, consumer()]),
    ofGroup((key, name) => ['XGROUP', 'SETID', key, name, '0']),
  ];
}
