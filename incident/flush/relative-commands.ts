/** How the result of a write depends on what was there. */
export type Dependence =
  /** It makes the key anew, whatever was there. */
  | 'anew'
  /** It changes what is there. */
  | 'changes'
  /** It takes away, and hands to somebody, what stands at an end: another element than the one that it took. */
  | 'takes'
  /** It does something or nothing, by what is there. */
  | 'conditional'
  /** What it writes is made of other keys. */
  | 'from-others'
  /** No write to a key. */
  | 'none';

const listed = (text: string): readonly string[] => text.trim().split(/\s+/);

/** Every other command counts as `changes`: what is not known is told, never passed over. */
const known = new Map<string, Dependence>([
  ...listed('setex psetex getset del unlink getdel mset').map((name) => [name, 'anew'] as const),
  ...listed(
    'lpop rpop lmpop blpop brpop blmpop spop zpopmin zpopmax bzpopmin bzpopmax zmpop bzmpop ltrim zremrangebyrank',
  ).map((name) => [name, 'takes'] as const),
  ...listed('rpoplpush brpoplpush lmove blmove').map((name) => [name, 'takes'] as const),
  ...listed('setnx msetnx hsetnx renamenx lpushx rpushx move linsert lset').map(
    (name) => [name, 'conditional'] as const,
  ),
  ...listed(
    `rename copy smove sort sunionstore sinterstore sdiffstore zunionstore zinterstore zdiffstore zrangestore
     bitop pfmerge geosearchstore georadius georadiusbymember eval evalsha fcall`,
  ).map((name) => [name, 'from-others'] as const),
  ...listed('select multi exec publish spublish script function ping replconf flushall flushdb swapdb').map(
    (name) => [name, 'none'] as const,
  ),
]);

/** Arguments that make a write depend on what is there. */
const conditions = new Set(['nx', 'xx', 'gt', 'lt', 'keepttl', 'ifeq', 'ifne']);

/**
 * What a command's result depends on, as it stands in an append-only file: expiries are absolute there, pops and random
 * choices name what they took where Redis writes them so.
 *
 * @param name in lower case
 * @param options its arguments behind the key, as far as they are held
 */
export function dependenceOf(name: string, options: readonly string[]): Dependence {
  // The first of a SET is its value, which may be any word.
  const words = name === 'set' ? options.slice(1) : options;
  const conditional = words.some((option) => conditions.has(option.toLowerCase()));
  if (name === 'set') return conditional ? 'conditional' : 'anew';
  if (name === 'restore') return options.some((option) => option.toLowerCase() === 'replace') ? 'anew' : 'conditional';
  if (name === 'zadd' || name.endsWith('expire') || name.endsWith('expireat')) {
    return conditional ? 'conditional' : 'changes';
  }
  return known.get(name) ?? 'changes';
}

/** Where a command's keys stand among its arguments, as far as they are held. @param argc with the name */
export function keyPositions(name: string, held: number, argc: number): readonly number[] {
  const all = (from: number, step = 1, to = held) =>
    Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
  switch (name) {
    case 'del':
    case 'unlink':
    case 'pfmerge':
      return all(1);
    case 'sunionstore':
    case 'sinterstore':
    case 'sdiffstore':
      return all(1);
    case 'mset':
    case 'msetnx':
      return all(1, 2);
    case 'bitop':
      return all(2);
    case 'zunionstore':
    case 'zinterstore':
    case 'zdiffstore':
      return [1, ...all(3)];
    case 'rename':
    case 'renamenx':
    case 'copy':
    case 'smove':
    case 'rpoplpush':
    case 'brpoplpush':
    case 'lmove':
    case 'blmove':
    case 'zrangestore':
    case 'geosearchstore':
      return [1, 2];
    case 'xgroup':
    case 'xinfo':
      return [2];
    case 'eval':
    case 'evalsha':
    case 'fcall':
      return all(3);
    default:
      return argc > 1 ? [1] : [];
  }
}
