import { describe, expect, test } from 'vitest';
import { Crc64 } from '../../rdb/crc64.ts';
import { decimalText, writeDecimal } from '../../rdb/decimal.ts';
import { int64 } from '../../rdb/listpack.ts';
import { Reservoir } from '../../rdb/reservoir.ts';
import { parseScore } from '../../rdb/score.ts';
import { moduleTypeName } from '../../rdb/values/module.ts';
import { Random } from '../../scripts/bench/random.ts';

describe('CRC-64', () => {
  /** One bit at a time, as the polynomial says. */
  function slow(bytes: Uint8Array): bigint {
    let crc = 0n;
    for (const byte of bytes) {
      crc ^= BigInt(byte);
      for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x95ac9329ac4bc9b5n : crc >> 1n;
    }
    return crc;
  }

  test('is that of Redis: its own check value', () => {
    const crc = new Crc64();
    crc.update(Buffer.from('123456789'));
    expect(crc.value).toBe(0xe9c6d914c4b8d9can);
  });

  test('of bytes at any offset, in any pieces, is that of one bit at a time', () => {
    const random = new Random(5);
    const bytes = random.bytes(3000);
    for (let round = 0; round < 60; round++) {
      const start = random.below(50);
      const end = start + random.below(round * 40 + 1);
      const crc = new Crc64();
      for (let at = start; at < end; ) {
        const next = Math.min(end, at + random.between(1, 300));
        crc.update(bytes, at, next);
        at = next;
      }
      expect(crc.value).toBe(slow(bytes.subarray(start, end)));
    }
  });

  test('of more than the module holds at once goes on where it was', () => {
    const bytes = new Random(6).bytes(300_000);
    const whole = new Crc64();
    whole.update(bytes);
    const parts = new Crc64();
    parts.update(bytes, 0, 131_072);
    parts.update(bytes, 131_072);
    expect(whole.value).toBe(parts.value);
  });
});

describe('integers as text', () => {
  test.each([
    0,
    1,
    -1,
    9,
    10,
    99,
    100,
    -2147483648,
    2147483647,
    2147483648,
    4294967296,
    -4294967297,
    9007199254740991,
    -9007199254740991,
    9223372036854775807n,
    -9223372036854775808n,
    10n,
  ])('%s', (value) => {
    expect(Buffer.from(decimalText.subarray(writeDecimal(value))).toString()).toBe(String(value));
  });

  test('halves of 64 bits make the integer, a bigint only where a number would round', () => {
    for (const value of [
      0n,
      -1n,
      1n << 53n,
      -(1n << 53n),
      (1n << 53n) - 1n,
      (1n << 63n) - 1n,
      -(1n << 63n),
      4294967295n,
    ]) {
      const low = Number(BigInt.asUintN(32, value));
      const high = Number(BigInt.asUintN(32, value >> 32n));
      const made = int64(low, high);
      expect(BigInt(made)).toBe(value);
      if (typeof made === 'number') expect(Number.isSafeInteger(made) || made === -(2 ** 53)).toBe(true);
    }
  });
});

describe('scores', () => {
  const parse = (score: string) => parseScore(Buffer.from(`[${score}]`), 1, score.length + 1);

  test.each([
    '0',
    '-0',
    '1',
    '-1',
    '3.5',
    '0.1',
    '-0.25',
    '.5',
    '5.',
    '123456789012345',
    '1234567890123456789',
    '0.10000000000000001',
    '1e21',
    '1E-7',
    '-1.7976931348623157e308',
    '5e-324',
    '4.9406564584124654e-324',
    '100000000000000000000',
    '+7',
    '0.000001',
  ])('%s is the double that it says', (score) => {
    expect(parse(score)).toBe(Number(score));
  });

  test('random doubles come back from their text to the bit', () => {
    const random = new Random(9);
    const view = new DataView(new ArrayBuffer(8));
    for (let i = 0; i < 20_000; i++) {
      view.setUint32(0, random.bits());
      view.setUint32(4, random.bits());
      const double = random.chance(0.5) ? view.getFloat64(0) : random.bits() / 10 ** random.below(12);
      if (!Number.isFinite(double)) continue;
      expect(parse(double.toPrecision(17))).toBe(double);
      expect(parse(String(double))).toBe(double);
    }
  });

  test('so do numbers that lie in the middle between two doubles, and beside it', () => {
    const random = new Random(10);
    for (let i = 0; i < 4_000; i++) {
      const whole = 2n ** 52n + (BigInt(random.bits()) << 20n) + BigInt(random.below(2 ** 20));
      for (const integer of [whole * 2n + 1n, whole * 4n + 2n, whole * 4n + 1n]) {
        const digits = String(integer);
        const point = random.below(digits.length + 1);
        const text = `${digits.slice(0, point)}.${digits.slice(point)}`;
        expect(Object.is(parse(digits), Number(digits)), digits).toBe(true);
        expect(Object.is(parse(text), Number(text)), text).toBe(true);
      }
    }
  });

  test.each([
    ['inf', Number.POSITIVE_INFINITY],
    ['+inf', Number.POSITIVE_INFINITY],
    ['-inf', Number.NEGATIVE_INFINITY],
    ['-Infinity', Number.NEGATIVE_INFINITY],
  ])('%s', (text, expected) => expect(parse(text)).toBe(expected));

  test.each(['', '-', '.', 'nan', '0x10', '1 ', ' 1', '1e', '1.2.3', 'abc', '--1', '1'.repeat(200)])(
    '%j is no score',
    (text) => {
      expect(parse(text)).toBeNaN();
    },
  );
});

describe('the reservoir', () => {
  test('chooses each thing with the same chance', () => {
    const hits = new Array(40).fill(0);
    for (let seed = 0; seed < 4000; seed++) {
      const reservoir = new Reservoir<number>(5, seed);
      for (let i = 0; i < 40; i++) {
        const slot = reservoir.offer();
        if (slot >= 0) reservoir.put(slot, i);
      }
      expect(reservoir.chosen).toHaveLength(5);
      for (const i of reservoir.chosen) hits[i]++;
    }
    // 500 expected each, standard deviation 21: five of them to either side.
    for (const count of hits) expect(Math.abs(count - 500)).toBeLessThan(105);
  });

  test('chooses the same again for the same seed, others for another', () => {
    const choose = (seed: number) => {
      const reservoir = new Reservoir<number>(10, seed);
      for (let i = 0; i < 1000; i++) {
        const slot = reservoir.offer();
        if (slot >= 0) reservoir.put(slot, i);
      }
      return reservoir.chosen.join();
    };
    expect(choose(1)).toBe(choose(1));
    expect(choose(1)).not.toBe(choose(2));
  });

  test('gives all where there are fewer than asked for, and nothing where none is asked for', () => {
    const few = new Reservoir<string>(10, 1);
    few.put(few.offer(), 'only');
    expect(few.chosen).toEqual(['only']);
    expect(new Reservoir(0, 1).offer()).toBe(-1);
  });
});

test("a module type's name is read off its id", () => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const id = [...'test__rdb'].reduce((sum, letter) => (sum << 6n) | BigInt(alphabet.indexOf(letter)), 0n) << 10n;
  expect(moduleTypeName(id | 1023n)).toBe('test__rdb');
});
