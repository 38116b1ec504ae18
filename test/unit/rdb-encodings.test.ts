import { describe, expect, test } from 'vitest';
import { typesOf } from '../../rdb/types.ts';
import { readAll } from '../support/rdb-content.ts';
import { around, boundarySizes, compressible, encodingCases, incompressible } from '../support/rdb-encoding-cases.ts';
import { int, length, lzf, RdbFile, text } from '../support/rdb-file.ts';

const long = compressible(4000);
const random = incompressible(70_000);
const cases = encodingCases({ long, random, sizes: boundarySizes });

describe('every encoding is decoded, whatever the chunks it comes in', () => {
  test.each(cases)('%s', async (_name, version, magic, type, value, expected) => {
    const file = around(version, magic, type, value).end(version >= 5 ? 'crc' : 'none');
    const start = file.indexOf('subject') - 2;
    for (const chunk of [file.length, 65_536, 4_099, file.length > 20_000 ? 997 : 1]) {
      const keys = await readAll(file, chunk);
      expect(keys.map(({ key }) => key)).toEqual(['before', 'subject', 'after']);
      const subject = keys[1]!;
      expect(subject.value).toEqual(expected);
      expect([subject.start, subject.valueStart]).toEqual([start, start + 2 + 'subject'.length]);
      expect(file.subarray(subject.valueStart, subject.end).equals(value)).toBe(true);
    }
  });

  test('every type that the reader knows has a case here', () => {
    const tested = (magic: string) => new Set(cases.filter((each) => each[2] === magic).map((each) => each[3]));
    expect([...typesOf('REDIS').keys()].filter((code) => !tested('REDIS').has(code))).toEqual([]);
    expect([...typesOf('VALKEY').keys()].filter((code) => code >= 22 && !tested('VALKEY').has(code))).toEqual([]);
  });
});

describe('what stands around the keys', () => {
  test('databases, expiries in seconds and milliseconds, idle times and frequencies belong to the right key', async () => {
    const file = new RdbFile(11)
      .aux('redis-ver', '7.2.0')
      .selectDb(3)
      .resizeDb(3, 2)
      .raw([253, 0x10, 0x27, 0, 0])
      .key(0, 'seconds', text('v'))
      .expireAt(1700000000123)
      .raw([248], length(3600))
      .key(0, 'milliseconds', text('v'))
      .raw([249, 200])
      .key(0, 'never', text('v'))
      .selectDb(9)
      .key(0, 'elsewhere', text('v'))
      .end();
    const keys = await readAll(file, 5);
    expect(keys.map(({ db, key, expireAtMs }) => [db, key, expireAtMs])).toEqual([
      [3, 'seconds', 10_000_000],
      [3, 'milliseconds', 1700000000123],
      [3, 'never', undefined],
      [9, 'elsewhere', undefined],
    ]);
    expect(keys[1]!.start).toBe(keys[0]!.end);
    expect(file[keys[1]!.start]).toBe(252);
  });

  test('slot info, slot imports, functions, module data, key metadata and the opcodes of Redis Enterprise are passed', async () => {
    const redis = new RdbFile(13)
      .raw([247], length(1n << 40n), [2, 2, 5], text('data'), [0])
      .raw([245], lzf(`#!lua name=lib\n${'x'.repeat(500)}`))
      .selectDb(0)
      .raw([121], length(16383), [244], length(16383), length(1), length(0))
      .expireAt(1700000000000)
      .raw([107], length(67))
      .raw([243], length(2), [1, 2, 3, 4, 2], length(5), [0], [9, 9, 9, 9, 5], text('meta'), [0])
      .key(0, 'key', text('value'))
      .end();
    expect((await readAll(redis, 3)).map(({ key, value }) => [key, value])).toEqual([['key', 'value']]);
    const valkey = new RdbFile(80, 'VALKEY')
      .raw([243], text('j'.repeat(40)), length(2), length(0), length(100), length(200), length(300))
      .key(0, 'key', text('value'))
      .end();
    expect((await readAll(valkey, 3)).map(({ key, value }) => [key, value])).toEqual([['key', 'value']]);
  });

  test('keys that are integers, compressed, empty or longer than a piece keep their bytes', async () => {
    const file = new RdbFile(11)
      .raw([0], int(12345), text('a'))
      .raw([0], lzf('key '.repeat(50)), text('b'))
      .raw([0], text(''), text('c'))
      .raw([0], text(random), text('d'))
      .raw([0], lzf(long), text('e'))
      .end();
    for (const chunk of [file.length, 1000]) {
      const keys = await readAll(file, chunk);
      expect(keys.map(({ key }) => key)).toEqual(['12345', 'key '.repeat(50), '', random, long]);
      expect(keys.map(({ value }) => value)).toEqual(['a', 'b', 'c', 'd', 'e']);
    }
  });
});
