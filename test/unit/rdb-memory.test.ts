import { describe, expect, test } from 'vitest';
import { ContentDigest } from '../../rdb/content-digest.ts';
import { isDecoded } from '../../rdb/types.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { bytes, i64, length, RdbFile, rawId, text, u16, u32 } from '../support/rdb-file.ts';

/** What a walk may take beyond what it began with, whatever it reads. */
const memoryBytes = 64 * 1024 * 1024;
const megabyte = 1024 * 1024;

type Part = Uint8Array | { readonly times: number; readonly of: Uint8Array };

/** Gives parts one after the other, repeated ones without ever making them whole. */
async function* give(parts: readonly Part[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (part instanceof Uint8Array) yield part;
    else for (let i = 0; i < part.times; i++) yield part.of;
  }
}

/** Decodes everything and answers how much memory that took at its highest, and how many keys there were. */
async function decode(parts: readonly Part[]): Promise<{ peakBytes: number; keys: number; error?: { code: string } }> {
  const before = process.memoryUsage().rss;
  const digest = new ContentDigest();
  let peak = before;
  let keys = 0;
  let blocks = 0;
  let error: { code: string } | undefined;
  await walkRdb(
    give(parts),
    {
      key: ({ type }) => {
        if (!isDecoded(type)) return null;
        digest.begin(type);
        return digest;
      },
      keyEnd: () => keys++,
    },
    {
      onProgress: () => {
        if (++blocks % 16 === 0) peak = Math.max(peak, process.memoryUsage().rss);
      },
    },
  ).catch((thrown) => {
    error = thrown;
  });
  return { peakBytes: Math.max(peak, process.memoryUsage().rss) - before, keys, error };
}

const head = (type: number) => new RdbFile(11).selectDb(0).raw([type], text('k')).end('none').subarray(0, -1);
const tail = bytes([255], Buffer.alloc(8));
const block = Buffer.alloc(megabyte, 'abcdefghijklmnop');
const times = (count: number, of: Uint8Array): Part => ({ times: count, of });
/** Makes 264 bytes of the 264 before it: the most that LZF can. */
const bomb = Buffer.alloc(3 * 100_000, Buffer.from([0xe0, 0xff, 0]));

/** A listpack of one element of `size` bytes: what Redis 7.0 makes of a large list element. */
const listpackHead = (size: number) => bytes(u32(size + 6 + 5 + 4 + 1), u16(1), [0xf0], u32(size));
const listpackTail = (size: number) =>
  bytes(
    [21, 14, 7, 0].map((shift, i) => (((size + 5) >>> shift) & 0x7f) | (i === 0 ? 0 : 0x80)),
    [0xff],
  );
const size = 150 * megabyte;
const smallEntries = Buffer.alloc(2 * 500_000, Buffer.from([7, 1]));

const large: [string, Part[]][] = [
  ['a string of 150 MB', [head(0), length(size), times(150, block), tail]],
  [
    'a compressed string that makes 200 MB of 2.4 MB',
    [head(0), [0xc3], length(2 + 8 * bomb.length), length(1 + 264 * 800_000), [0, 97], times(8, bomb), tail].map(
      (part) => (Array.isArray(part) ? Buffer.from(part) : part),
    ),
  ],
  [
    'a list of one element of 150 MB in a listpack',
    [
      head(18),
      length(1),
      Buffer.from([2]),
      length(size + 16),
      listpackHead(size),
      times(150, block),
      listpackTail(size),
      tail,
    ],
  ],
  ['a list of long plain nodes', [head(18), length(150), times(150, bytes([1], length(megabyte), block)), tail]],
  [
    'a set of five million members in one listpack',
    [
      head(20),
      length(10 * smallEntries.length + 7),
      u32(10 * smallEntries.length + 7),
      u16(0xffff),
      times(10, smallEntries),
      Buffer.from([255]),
      tail,
    ],
  ],
  [
    'a set of ten million members',
    [head(2), length(10_000_000), times(100, Buffer.alloc(3 * 100_000, text('ab'))), tail],
  ],
  [
    'a stream group with two million entries pending',
    [
      head(15),
      bytes(length(0), length(0), length(0), length(0), length(1), text('g'), length(0), length(0), length(2_000_000)),
      times(20, Buffer.alloc(25 * 100_000, bytes(rawId(1, 1), i64(1), [1]))),
      bytes(length(0)),
      tail,
    ],
  ],
];

describe('memory stays where it was while it decodes', () => {
  test.each(large)('%s', { timeout: 120_000 }, async (_name, parts) => {
    const { peakBytes, keys, error } = await decode(parts);
    expect(error).toBeUndefined();
    expect(keys).toBe(1);
    expect(peakBytes).toBeLessThan(memoryBytes);
  });
});

const claim = 2 ** 40;
const claims: [string, Part[]][] = [
  ['a string', [head(0), length(claim)]],
  ['a key', [new RdbFile(11).raw([0]).end('none').subarray(0, -1), length(500 * megabyte)]],
  ['a compressed string', [head(0), Buffer.from([0xc3]), length(claim), length(claim)]],
  ['a set', [head(2), length(claim)]],
  ['a hash', [head(4), length(claim)]],
  ['a list', [head(18), length(claim), Buffer.from([2])]],
  ['a listpack', [head(16), length(claim), u32(0xffff_ffff), u16(3), Buffer.from([0xf0]), u32(0xffff_ffff)]],
  ['a ziplist', [head(10), length(claim), u32(0xffff_ffff), u32(10), u16(3), Buffer.from([0, 0x80]), u32(0xffff_ffff)]],
  ['an intset', [head(11), length(claim), u32(8), u32(0xffff_ffff)]],
  ['a zipmap', [head(9), length(claim), Buffer.from([1, 254]), u32(0xffff_ffff)]],
  ['a stream', [head(15), length(claim), text(rawId(1, 1)), length(claim), u32(0xffff_ffff), u16(3)]],
  ['an auxiliary field', [new RdbFile(11).raw([250]).end('none').subarray(0, -1), length(claim)]],
  ['a function', [new RdbFile(11).raw([245]).end('none').subarray(0, -1), length(claim)]],
];

describe('a length that claims a terabyte takes no more memory than the bytes that came', () => {
  test.each(claims)('%s', async (_name, parts) => {
    const { peakBytes, keys, error } = await decode([...parts, Buffer.alloc(1000)]);
    expect(error?.code).toMatch(/^RDB_(TRUNCATED|CORRUPT)$/);
    expect(keys).toBe(0);
    expect(peakBytes).toBeLessThan(memoryBytes);
  });
});

test('a key longer than any server accepts is refused by name before it fills the memory', async () => {
  const parts = [new RdbFile(11).raw([250]).end('none').subarray(0, -1), length(claim), times(3, block)];
  const { error, peakBytes } = await decode(parts);
  expect(error).toMatchObject({ code: 'RDB_STRING_TOO_LONG', details: { offset: 10 } });
  expect(peakBytes).toBeLessThan(memoryBytes);
});
