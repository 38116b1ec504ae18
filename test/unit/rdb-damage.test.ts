import { describe, expect, test } from 'vitest';
import { RewindError } from '../../errors/rewind-error.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { inChunks, readAll } from '../support/rdb-content.ts';
import {
  bytes,
  checksumOf,
  f64,
  i64,
  intset,
  length,
  listpack,
  lzf,
  RdbFile,
  rawId,
  text,
  u32,
  ziplist,
  zipmap,
} from '../support/rdb-file.ts';

async function errorOf(file: Uint8Array, chunk = 65_536): Promise<RewindError> {
  const error = await readAll(file, chunk).then(
    (keys) => new Error(`read ${keys.length} keys`),
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(RewindError);
  return error;
}

async function* once(file: Uint8Array) {
  yield file;
}

const small = new RdbFile(11)
  .aux('redis-ver', '7.0.15')
  .selectDb(0)
  .resizeDb(6, 1)
  .expireAt(4102444800000)
  .key(0, 'string', lzf('compressed '.repeat(20)))
  .key(18, 'list', length(1), [2], text(listpack(['a', 1, -70000])))
  .key(12, 'zset', text(ziplist(['m', 1, 'n', '0.5'])))
  .key(11, 'set', text(intset(2, [1, 2, 3])))
  .key(9, 'hash', text(zipmap([['f', 'v']])))
  .key(19, 'stream', length(0), ...Array.from({ length: 8 }, () => length(5)), length(0))
  .end();

describe('a dump that was cut off', () => {
  test('is told from a whole one at every byte, with the offset of its end', async () => {
    for (let size = 0; size < small.length; size++) {
      const error = await errorOf(small.subarray(0, size), 7);
      expect([error.code, error.details.offset]).toEqual(['RDB_TRUNCATED', size]);
    }
  });

  test('an empty file is no dump that lost its head: it ends at byte 0', async () => {
    expect((await errorOf(Buffer.alloc(0))).message).toContain('byte 0');
  });
});

describe('a bit that flipped', () => {
  test('anywhere in a dump with a checksum is an error', async () => {
    for (let bit = 0; bit < small.length * 8; bit++) {
      const flipped = Buffer.from(small);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const { code } = await errorOf(flipped);
      expect(code).toMatch(/^RDB_/);
    }
  });
});

test('a wrong checksum alone is named as such, at its offset', async () => {
  const wrong = Buffer.from(small);
  wrong[wrong.length - 1]! ^= 1;
  const error = await errorOf(wrong);
  expect([error.code, error.details.offset]).toEqual(['RDB_CHECKSUM_WRONG', wrong.length - 8]);
});

test('a checksum of zeroes says that the server wrote none, and a file before version 5 has none at all', async () => {
  for (const file of [
    new RdbFile(11).key(0, 'k', text('v')).end('disabled'),
    new RdbFile(4).key(0, 'k', text('v')).end('none'),
  ]) {
    const { crc, end } = await walkRdb(inChunks(file, 9), {});
    expect([crc, end]).toEqual(['disabled', file.length]);
  }
});

describe('bytes behind the end', () => {
  const mark = Buffer.from('0123456789abcdef0123456789abcdef01234567');

  test('are an error with the offset of the first of them', async () => {
    for (const chunk of [1, small.length, 65_536]) {
      const error = await errorOf(bytes(small, mark), chunk);
      expect([error.code, error.details.offset]).toEqual(['RDB_TRAILING_BYTES', small.length]);
    }
  });

  test('are left alone where a stream goes on, and the end is told', async () => {
    for (const chunk of [1, small.length, 65_536]) {
      const walked = await walkRdb(inChunks(bytes(small, mark), chunk), {}, { trailing: 'allowed' });
      expect([walked.end, walked.crc]).toEqual([small.length, 'ok']);
    }
  });
});

describe('a head that is none', () => {
  test.each(['REDIS00', 'RESID0011', 'REDIS001x', 'VALKEY08', 'VALKEYx80', '\0\0\0\0\0\0\0\0\0', 'REDIS-001'])(
    '%j',
    async (head) => {
      const { code } = await errorOf(bytes(head, small.subarray(9)));
      expect(code).toBe('RDB_NOT_A_DUMP');
    },
  );

  test.each(['REDIS0000', 'REDIS0016', 'REDIS9999', 'VALKEY000', 'VALKEY082'])(
    '%s is a version that nobody knows',
    async (head) => {
      const error = await errorOf(bytes(head, small.subarray(9)));
      expect([error.code, error.details.crc]).toEqual(['RDB_VERSION_UNKNOWN', 'wrong']);
    },
  );
});

describe('a type that is not known', () => {
  const file = (magic: 'REDIS' | 'VALKEY', version: number, type: number) =>
    new RdbFile(version, magic).key(0, 'known', text('v')).key(type, 'unknown', text('v'), text('w'));

  test.each([
    ['REDIS', 15, 30, 'HASH_TMPL_LP_REF'],
    ['REDIS', 15, 33, 'GCRA'],
    ['REDIS', 15, 242, 'opcode HASH_TEMPLATES'],
    ['REDIS', 12, 6, 'MODULE_PRE_GA'],
    ['REDIS', 10, 246, 'opcode FUNCTION_PRE_GA'],
    ['VALKEY', 81, 23, 'PATH_HASH'],
    ['VALKEY', 80, 24, 'unknown'],
    ['REDIS', 12, 243, 'unknown'],
  ] as const)(
    '%s %i type %i is named with its offset, and the whole checksum is looked at',
    async (magic, version, type, name) => {
      const built = file(magic, version, type);
      const { details, code } = await errorOf(built.end(), 5);
      expect(code).toBe('RDB_TYPE_UNKNOWN');
      expect(details).toMatchObject({ typeCode: type, name, crc: 'ok', offset: 9 + 1 + 6 + 2 });
      expect((await errorOf(built.end('disabled'), 11)).details.crc).toBe('disabled');
    },
  );

  test.each([
    ['REDIS', 10, 20, 'SET_LISTPACK of a later version'],
    ['REDIS', 11, 24, 'HASH_METADATA of a later version'],
    ['REDIS', 9, 245, 'unknown'],
  ] as const)('%s %i type %i came later: it is none of a record among damage', async (magic, version, type, name) => {
    const reading = walkRdb(once(file(magic, version, type).end()), {}, { onlyOfVersion: true });
    await expect(reading).rejects.toMatchObject({ code: 'RDB_TYPE_UNKNOWN', details: { typeCode: type, name } });
  });

  test('that came later than the version in the header is read all the same, as servers do', async () => {
    const later = new RdbFile(6).aux('lua', 'return 1').key(20, 'set', text(listpack(['a'])));
    expect(await readAll(later.end())).toHaveLength(1);
  });

  test('where the checksum is wrong as well it is damage', async () => {
    const damaged = file('REDIS', 12, 200).end();
    damaged[12]! ^= 1;
    expect((await errorOf(damaged)).code).toBe('RDB_CHECKSUM_WRONG');
  });

  test('in front of a stream that goes on it is said at once', async () => {
    let given = 0;
    async function* endless() {
      yield file('REDIS', 12, 200).end();
      for (; given < 100; given++) yield Buffer.alloc(1000);
    }
    await expect(walkRdb(endless(), {}, { trailing: 'allowed' })).rejects.toMatchObject({ code: 'RDB_TYPE_UNKNOWN' });
    expect(given).toBe(0);
  });
});

/** The last byte of the last element's second length has its highest bit taken. */
function withoutMark(encoded: Buffer): Buffer {
  encoded[encoded.length - 2]! &= 0x7f;
  return encoded;
}

/** Each is wrong inside of a value, where no checksum helps. */
const damaged: [string, Buffer][] = [
  ['a length that begins with no known byte', bytes([0, 1], 'k', [0x82])],
  ['a length beyond 2^53', bytes([0, 1], 'k', [0x81], Buffer.alloc(8, 0xff))],
  ['an unknown string encoding', bytes([0, 1], 'k', [0xc4])],
  ['an expiry that no key follows', bytes([252], i64(4102444800000), [254, 1, 0, 1], 'k', [1], 'v')],
  [
    'a function library between an expiry and its key',
    bytes([252], i64(4102444800000), [245, 1], 'f', [0, 1], 'k', [0]),
  ],
  [
    'a compressed string that claims more than can be made of it',
    bytes([0, 1], 'k', [0xc3], length(4), length(400), [0, 97, 0xe0, 0]),
  ],
  ['a compressed string of no bytes', bytes([0, 1], 'k', [0xc3], length(0), length(5))],
  [
    'a compressed string that refers to before its beginning',
    bytes([0, 1], 'k', [0xc3], length(4), length(4), [0, 97, 0x20, 5]),
  ],
  ['a compressed string that makes less than it claims', bytes([0, 1], 'k', [0xc3], length(3), length(9), [1, 97, 98])],
  ['a compressed string that makes more than it claims', bytes([0, 1], 'k', [0xc3], length(3), length(1), [1, 97, 98])],
  [
    'a long compressed string that makes less than it claims',
    bytes([0, 1], 'k', [0xc3], length(2000), length(100_000), Buffer.alloc(2000, 0)),
  ],
  [
    'a long compressed string that makes more than it claims',
    bytes(
      [0, 1],
      'k',
      [0xc3],
      length(4003),
      length(100_000),
      [0, 97],
      ...Array.from({ length: 1333 }, () => [0xe0, 0xff, 0]),
      [0xe0, 0xff],
    ),
  ],
  [
    'a long compressed string that ends inside of a token',
    bytes(
      [0, 1],
      'k',
      [0xc3],
      length(1200),
      length(90_000),
      [0, 97],
      ...Array.from({ length: 399 }, () => [0xe0, 0xe0, 0]),
      [0x1f],
    ),
  ],
  ['a score that is no number', bytes([3, 1], 'z', length(1), text('m'), [3], 'abc')],
  ['a score that is NaN', bytes([5, 1], 'z', length(1), text('m'), f64(Number.NaN))],
  [
    'a listpack shorter than it claims',
    bytes([16, 1], 'h', text(bytes(u32(20), [2, 0], listpack([1, 2]).subarray(6)))),
  ],
  [
    'a listpack with fewer elements than it claims',
    bytes([16, 1], 'h', text(bytes(listpack([1, 2]).subarray(0, 4), [4, 0], listpack([1, 2]).subarray(6)))),
  ],
  ['a listpack without an end', bytes([16, 1], 'h', text(listpack([1, 2]).subarray(0, -1)))],
  ['a listpack with bytes behind its end', bytes([16, 1], 'h', text(bytes(listpack([1, 2]), [0])))],
  [
    'a listpack element whose two lengths differ',
    bytes([16, 1], 'h', text(bytes(u32(11), [2, 0], [1, 2, 2, 1, 0xff]))),
  ],
  [
    'a listpack element whose second length does not say that it has two bytes',
    bytes([16, 1], 'h', text(withoutMark(listpack(['f', 'v'.repeat(200)])))),
  ],
  ['a listpack element of no known encoding', bytes([16, 1], 'h', text(bytes(u32(9), [1, 0], [0xf5, 1, 0xff])))],
  ['a hash whose last field has no value', bytes([16, 1], 'h', text(listpack(['f', 'v', 'g'])))],
  ['a hash field without an expiry', bytes([25, 1], 'h', i64(0), text(listpack(['f', 'v'])))],
  ['a hash field whose expiry is text', bytes([25, 1], 'h', i64(0), text(listpack(['f', 'v', 'x'])))],
  ['a hash field whose expiry is negative', bytes([25, 1], 'h', i64(0), text(listpack(['f', 'v', -1])))],
  [
    'a hash field whose expiry is beyond 48 bits',
    bytes([24, 1], 'h', i64(2 ** 47), length(1), length(2 ** 48), text('f'), text('v')),
  ],
  ['a sorted set member without a score', bytes([17, 1], 'z', text(listpack(['m', 1, 'n'])))],
  ['a sorted set score that is no number', bytes([17, 1], 'z', text(listpack(['m', 'x'])))],
  [
    'a ziplist whose last element is elsewhere',
    bytes([10, 1], 'l', text(bytes(ziplist([1, 2]).subarray(0, 4), u32(10), ziplist([1, 2]).subarray(8)))),
  ],
  [
    'a ziplist element that is not as long as the next says',
    bytes([10, 1], 'l', text(bytes(u32(15), u32(12), [2, 0], [0, 0xf2, 3, 0xf3, 0xff]))),
  ],
  ['a ziplist of no known encoding', bytes([10, 1], 'l', text(bytes(u32(13), u32(10), [1, 0], [0, 0xc1, 0xff])))],
  ['an intset of integers of 3 bytes', bytes([11, 1], 's', text(bytes(u32(3), u32(1), [1, 2, 3])))],
  ['an intset with fewer integers than it claims', bytes([11, 1], 's', text(bytes(u32(2), u32(2), [1, 2])))],
  ['an intset with more integers than it claims', bytes([11, 1], 's', text(bytes(u32(2), u32(1), [1, 2, 3, 4])))],
  ['a zipmap whose field has no value', bytes([9, 1], 'h', text(bytes([1, 1], 'f', [0xff])))],
  ['a zipmap with fewer pairs than it claims', bytes([9, 1], 'h', text(bytes([5], zipmap([['f', 'v']]).subarray(1))))],
  ['a list node of an unknown kind', bytes([18, 1], 'l', length(1), [3], text('x'))],
  [
    "a stream node's id of 15 bytes",
    bytes([15, 1], 's', length(1), text(rawId(1, 1).subarray(1)), text(listpack([0, 0, 0, 0]))),
  ],
  [
    'a stream node with fewer entries than it claims',
    bytes([15, 1], 's', length(1), text(rawId(1, 1)), text(listpack([2, 0, 0, 0, 2, 0, 0, 3]))),
  ],
  [
    'a stream entry that counts its elements wrongly',
    bytes([15, 1], 's', length(1), text(rawId(1, 1)), text(listpack([1, 0, 0, 0, 2, 0, 0, 4]))),
  ],
  [
    'a stream entry with text for a number',
    bytes([15, 1], 's', length(1), text(rawId(1, 1)), text(listpack([1, 0, 0, 0, 'x', 0, 0, 3]))),
  ],
  [
    'a stream node that ends inside of an entry',
    bytes([15, 1], 's', length(1), text(rawId(1, 1)), text(listpack([1, 0, 1, 'f', 0, 2, 0, 0]))),
  ],
  [
    'a stream node whose master entry does not end',
    bytes([15, 1], 's', length(1), text(rawId(1, 1)), text(listpack([1, 0, 1, 'f', 1]))),
  ],
  ["a stream's listpack that is an integer", bytes([15, 1], 's', length(1), text(rawId(1, 1)), [0xc0, 5])],
  ["an unknown piece in a module's value", bytes([7, 1], 'm', length(1n << 40n), [6])],
  ["a module's data that does not say when it is loaded", bytes([247], length(1n << 40n), [1, 2, 0])],
  ["an array's element of an unknown kind", bytes([28, 1], 'a', length(1), [0], length(0), [9])],
];

describe('damage inside of a value, where no checksum would tell', () => {
  test.each(damaged)('%s', async (_name, body) => {
    const file = new RdbFile(14).raw(body).raw(Buffer.alloc(100)).end('disabled');
    const { code, details } = await errorOf(file);
    expect(code).toBe('RDB_CORRUPT');
    expect(details.offset).toBeGreaterThanOrEqual(9);
    expect(details.offset).toBeLessThan(9 + body.length + 100);
    // The same at the same place, whatever the chunks it comes in.
    const chunked = await errorOf(file, 3);
    expect([chunked.code, chunked.details.offset]).toEqual([code, details.offset]);
  });

  test('a checksum made for the damaged bytes does not hide it', async () => {
    const body = new RdbFile(11).raw(damaged[0]![1]).end('none');
    expect((await errorOf(bytes(body, checksumOf(body)))).code).toBe('RDB_CORRUPT');
  });
});

test('an error never carries the bytes of a key or a value', async () => {
  const file = new RdbFile(11).key(16, 'secret-key', text(listpack(['secret-field', 'secret-value', 'x']))).end();
  const error = await errorOf(file);
  expect(JSON.stringify([error.message, error.details, error.stack])).not.toContain('secret');
});
