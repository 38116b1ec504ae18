import type { StreamForm } from '../../rdb/values/stream.ts';
import {
  bytes,
  f64,
  i64,
  int,
  intset,
  length,
  listpack,
  lzf,
  RdbFile,
  rawId,
  text,
  ziplist,
  zipmap,
} from './rdb-file.ts';

/** A value in one encoding, and what a reader has to make of it (undefined: only its end is found). */
export type EncodingCase = [
  name: string,
  version: number,
  magic: 'REDIS' | 'VALKEY',
  type: number,
  value: Buffer,
  expected: unknown,
];

/** The texts in the values. */
export interface CaseTexts {
  /** One that compresses. */
  readonly long: string;
  /** One that does not. */
  readonly random: string;
  /** Of as many lengths as encodings tell apart. */
  readonly sizes: readonly string[];
}

/** A text that compresses, of `repeats` times 45 bytes. */
export const compressible = (repeats: number): string =>
  'the quick brown fox jumps over the lazy dog, '.repeat(repeats);
/** Bytes that do not compress. */
export const incompressible = (size: number): string =>
  Buffer.from(Array.from({ length: size }, (_, i) => (i * 2654435761) >>> 24)).toString('latin1');

const manyPairs = Array.from({ length: 30_000 }, (_, i) => (i % 2 === 0 ? `field ${i}` : `value ${i % 100}`));

/** Every length at which an encoding changes. */
export const boundarySizes = [0, 1, 63, 64, 253, 254, 4095, 4096, 16383, 16384].map((size, i) =>
  'abcdefghij'[i]!.repeat(size),
);

const integers = [
  0, 12, 13, 127, 128, -1, -128, -129, 4095, -4096, 4096, 32767, -32768, 32768, -32769, 8388607, -8388608,
];
const wide = [8388608, 2147483647, -2147483648, 2147483648, -2147483649, 9007199254740991, -9007199254740991];
const full = [-9223372036854775808n, -9007199254740993n, 9007199254740993n, 9223372036854775807n];
const numbers = [...integers, ...wide, ...full];
const pairs = (list: readonly unknown[]) =>
  list.flatMap((each, i) => (i % 2 === 0 ? [[String(each), String(list[i + 1])]] : []));

const scored = (members: readonly (string | number | bigint)[]): [string | number | bigint, number][] =>
  members.map((member, i) => [member, [0, 1, -1, 3.5, -0.25, 1e300, 5e-324, 0.1, 123456789.125][i % 9]!]);
const scoreText = (score: number) => (Number.isInteger(score) && Math.abs(score) < 1e9 ? score : String(score));

const group = (form: StreamForm) =>
  bytes(
    length(1),
    text('workers'),
    ...[length(1005), length(0)],
    form > 1 ? length(18446744073709551615n) : [],
    ...[length(2), rawId(1000, 1), i64(1700000000123), length(3), rawId(1005, 7), i64(1700000000456), length(1)],
    ...[length(2), text('one'), i64(1700000000999), form > 2 ? i64(-1) : [], length(1), rawId(1000, 1)],
    ...[int(42), i64(1700000001000), form > 2 ? i64(1700000000777) : []],
    // Given back (8.8), it belongs to nobody.
    ...(form < 5 ? [length(1), rawId(1005, 7)] : [length(0), length(1), rawId(1005, 7)]),
  );
const grouped = (form: StreamForm) => [
  'group',
  'workers',
  { lastId: '1005-0', ...(form > 1 ? { entriesRead: -1n } : {}) },
  { pending: '1000-1', deliveredAtMs: 1700000000123, deliveries: 3 },
  { pending: '1005-7', deliveredAtMs: 1700000000456, deliveries: 1 },
  'consumer',
  'one',
  { seenAtMs: 1700000000999, ...(form > 2 ? { activeAtMs: -1 } : {}) },
  { owned: '1000-1' },
  'consumer',
  '42',
  { seenAtMs: 1700000001000, ...(form > 2 ? { activeAtMs: 1700000000777 } : {}) },
  ...(form < 5 ? [{ owned: '1005-7' }] : []),
];
function streamCases({ long, random }: CaseTexts): EncodingCase[] {
  const stream = {
    nodes: bytes(
      length(2),
      text(rawId(1000, 0)),
      text(
        listpack([
          ...[3, 1, 2, 'f1', 7, 0],
          ...[2, 0, 1, 'v1', 'v2', 5],
          ...[3, 0, 2, 'gone', 'gone', 5],
          ...[0, 5, -1, 1, 'other', random, 6],
          ...[2, 6, 0, '', 99, 5],
        ]),
      ),
      lzf(rawId(2000, '18446744073709551615' as unknown as bigint)),
      lzf(listpack([1, 0, 0, 0, 2, 0, 0, 3])),
    ),
    entries: [
      { entry: '1000-1', fields: 2 },
      ...['f1', 'v1', '7', 'v2'],
      { entry: '1005-18446744073709551615', fields: 1 },
      ...['other', random],
      { entry: '1006-0', fields: 2 },
      ...['f1', '', '7', '99'],
      { entry: '2000-18446744073709551615', fields: 0 },
    ],
    lastId: bytes(length(3000), length(18446744073709551615n)),
  };
  const producers = bytes(
    ...[length(100), length(1000), length(1)],
    ...[text('producer'), length(2), text('id-1'), length(1000), length(1), lzf(long), length(1005), length(0)],
    ...[length(17), length(2)],
  );
  const streamInfo = (form: StreamForm) =>
    bytes(
      stream.nodes,
      length(4),
      stream.lastId,
      form > 1 ? bytes(length(1000), length(1), length(1000), length(2), length(18446744073709551615n)) : [],
    );
  const streamTold = (form: StreamForm) => [
    ...stream.entries,
    {
      length: 4,
      lastId: '3000-18446744073709551615',
      ...(form > 1 ? { maxDeletedId: '1000-2', entriesAdded: 18446744073709551615n } : {}),
    },
    ...grouped(form),
  ];

  return [
    ['a stream of Redis 5', 9, 'REDIS', 15, bytes(streamInfo(1), group(1)), streamTold(1)],
    ['a stream of Redis 7.0', 10, 'REDIS', 19, bytes(streamInfo(2), group(2)), streamTold(2)],
    ['a stream of Redis 7.2', 11, 'REDIS', 21, bytes(streamInfo(3), group(3)), streamTold(3)],
    ['a stream of Redis 8.6', 13, 'REDIS', 26, bytes(streamInfo(4), group(4), producers), streamTold(3)],
    ['a stream of Redis 8.8', 14, 'REDIS', 27, bytes(streamInfo(5), group(5), producers), streamTold(5)],
    [
      'a stream without entries or groups',
      11,
      'REDIS',
      21,
      bytes(length(0), length(0), ...Array.from({ length: 7 }, () => length(0)), length(0)),
      [{ length: 0, lastId: '0-0', maxDeletedId: '0-0', entriesAdded: 0n }],
    ],
  ];
}

export function encodingCases(texts: CaseTexts): EncodingCase[] {
  const { long, random, sizes } = texts;
  const elements = [...numbers, ...sizes, random, long, 'after'];
  const asText = elements.map(String);
  /** An even number of elements: fields and values. */
  const even = elements.length % 2 === 0 ? elements : [...elements, 'last'];
  return [
    ['a string', 3, 'REDIS', 0, text('value'), 'value'],
    ['an empty string', 11, 'REDIS', 0, text(''), ''],
    ['a string of 16 KiB', 11, 'REDIS', 0, text('x'.repeat(16384)), 'x'.repeat(16384)],
    ['a string longer than a piece', 11, 'REDIS', 0, text(random), random],
    ['an 8-bit integer', 11, 'REDIS', 0, int(-128), '-128'],
    ['a 16-bit integer', 11, 'REDIS', 0, int(-32768), '-32768'],
    ['a 32-bit integer', 11, 'REDIS', 0, int(-2147483648), '-2147483648'],
    ['a compressed string', 11, 'REDIS', 0, lzf('abcabcabcabcabcabcabc'), 'abcabcabcabcabcabcabc'],
    ['a compressed string longer than a piece', 11, 'REDIS', 0, lzf(long), long],
    ['a compressed string of one byte repeated', 11, 'REDIS', 0, lzf('z'.repeat(300_000)), 'z'.repeat(300_000)],
    ['a list of strings', 3, 'REDIS', 1, bytes(length(3), text('a'), int(7), lzf(long)), ['a', '7', long]],
    ['a set of strings', 3, 'REDIS', 2, bytes(length(2), text(''), text(random)), ['', random]],
    [
      'a sorted set with scores in text',
      3,
      'REDIS',
      3,
      bytes(
        length(4),
        text('a'),
        [4],
        '-1.5',
        text('b'),
        [254],
        text('c'),
        [255],
        lzf(long),
        [21],
        '0.10000000000000000555'.slice(0, 21),
      ),
      [
        ['a', -1.5],
        ['b', Number.POSITIVE_INFINITY],
        ['c', Number.NEGATIVE_INFINITY],
        [long, 0.1],
      ],
    ],
    [
      'a hash of strings',
      3,
      'REDIS',
      4,
      bytes(length(2), text('f'), int(1), text(''), lzf(long)),
      [
        ['f', '1'],
        ['', long],
      ],
    ],
    [
      'a sorted set with binary scores',
      8,
      'REDIS',
      5,
      bytes(length(3), text('a'), f64(0.1), text(random), f64(Number.NEGATIVE_INFINITY), int(5), f64(5e-324)),
      [
        ['a', 0.1],
        [random, Number.NEGATIVE_INFINITY],
        ['5', 5e-324],
      ],
    ],
    [
      'a zipmap',
      2,
      'REDIS',
      9,
      text(
        zipmap(
          [
            ['f', 'v'],
            ['', 'x'.repeat(254)],
            ['y'.repeat(300), random],
          ],
          3,
        ),
      ),
      [
        ['f', 'v'],
        ['', 'x'.repeat(254)],
        ['y'.repeat(300), random],
      ],
    ],
    ['a list in a ziplist', 6, 'REDIS', 10, text(ziplist(elements)), asText],
    ['an empty ziplist', 6, 'REDIS', 10, text(ziplist([])), []],
    ['an intset of 16 bits', 6, 'REDIS', 11, text(intset(2, [-32768, -1, 0, 32767])), ['-32768', '-1', '0', '32767']],
    ['an intset of 32 bits', 6, 'REDIS', 11, lzf(intset(4, [-2147483648, 5])), ['-2147483648', '5']],
    ['an intset of 64 bits', 6, 'REDIS', 11, text(intset(8, full)), full.map(String)],
    [
      'an intset longer than a piece',
      6,
      'REDIS',
      11,
      text(
        intset(
          8,
          Array.from({ length: 20_000 }, (_, i) => i * 3),
        ),
      ),
      Array.from({ length: 20_000 }, (_, i) => String(i * 3)),
    ],
    [
      'a sorted set in a ziplist',
      6,
      'REDIS',
      12,
      text(ziplist(scored(asText).flatMap(([member, score]) => [member, scoreText(score)]))),
      scored(asText),
    ],
    ['a hash in a ziplist', 6, 'REDIS', 13, lzf(ziplist(even)), pairs(even)],
    [
      'a list of ziplists',
      7,
      'REDIS',
      14,
      bytes(length(3), text(ziplist([1, 'a'])), lzf(ziplist([long, 2])), text(ziplist([random]))),
      ['1', 'a', long, '2', random],
    ],
    ['a hash in a listpack', 10, 'REDIS', 16, text(listpack(even)), pairs(even)],
    [
      'a hash in a compressed listpack longer than a piece',
      10,
      'REDIS',
      16,
      lzf(listpack(manyPairs)),
      pairs(manyPairs),
    ],
    [
      'a sorted set in a listpack',
      10,
      'REDIS',
      17,
      text(
        listpack([
          ...scored(asText).flatMap(([member, score]) => [member, scoreText(score)]),
          'inf',
          'inf',
          'ninf',
          '-inf',
        ]),
      ),
      [...scored(asText), ['inf', Number.POSITIVE_INFINITY], ['ninf', Number.NEGATIVE_INFINITY]],
    ],
    [
      'a list of listpacks and plain nodes',
      10,
      'REDIS',
      18,
      bytes(
        length(4),
        [2],
        text(listpack(elements)),
        [1],
        text(random),
        [1],
        lzf(long),
        [2],
        lzf(listpack(['x', 'x', 'x', 'x', long])),
      ),
      [...asText, random, long, 'x', 'x', 'x', 'x', long],
    ],
    ['a set in a listpack', 11, 'REDIS', 20, text(listpack(elements)), asText],
    [
      'a hash whose fields expire, before 7.4 was released',
      12,
      'REDIS',
      22,
      bytes(length(2), length(1700000000000), text('f'), text('v'), length(0), text('g'), text(random)),
      [
        ['f', 'v', 1700000000000],
        ['g', random],
      ],
    ],
    [
      'a listpack whose fields expire, before 7.4 was released',
      12,
      'REDIS',
      23,
      text(listpack(['f', 'v', 1700000000000, 'g', long, 0])),
      [
        ['f', 'v', 1700000000000],
        ['g', long],
      ],
    ],
    [
      'a hash whose fields expire',
      12,
      'REDIS',
      24,
      bytes(
        i64(1700000000000),
        length(3),
        length(0),
        text('f'),
        int(1),
        length(1),
        text('g'),
        text('v'),
        length(70_001),
        text('h'),
        lzf(long),
      ),
      [
        ['f', '1'],
        ['g', 'v', 1700000000000],
        ['h', long, 1700000070000],
      ],
    ],
    [
      'a listpack whose fields expire',
      12,
      'REDIS',
      25,
      bytes(i64(1700000000000), text(listpack(['f', 1, 1700000000000, 'g', random, 0]))),
      [
        ['f', '1', 1700000000000],
        ['g', random],
      ],
    ],
    [
      'a hash whose fields expire, of Valkey',
      80,
      'VALKEY',
      22,
      bytes(length(2), text('f'), text('v'), i64(1700000000000), lzf(long), int(3), i64(-1)),
      [
        ['f', 'v', 1700000000000],
        [long, '3'],
      ],
    ],
    ...streamCases(texts),
    [
      'an array',
      14,
      'REDIS',
      28,
      bytes(
        length(4),
        [1],
        length(18446744073709551614n),
        length(0),
        [1],
        i64(7),
        length(9),
        [2],
        f64(1.5),
        length(70),
        [0],
        lzf(long),
        length(71),
        [3],
        text('small'),
      ),
      undefined,
    ],
    [
      "a module's value",
      11,
      'REDIS',
      7,
      bytes(
        length(0x7fff_ffff_ffff_ffffn),
        [2],
        length(18446744073709551615n),
        [1],
        length(5),
        [3, 1, 2, 3, 4, 4],
        f64(1),
        [5],
        text(random),
        [5],
        lzf(long),
        [0],
      ),
      undefined,
    ],
  ];
}

/** A file with the value between two others. */
export const around = (version: number, magic: 'REDIS' | 'VALKEY', type: number, value: Buffer) =>
  new RdbFile(version, magic)
    .selectDb(0)
    .key(0, 'before', text('x'))
    .key(type, 'subject', value)
    .key(0, 'after', text('y'));
