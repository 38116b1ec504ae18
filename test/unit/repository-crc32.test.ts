import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { ContentChecksum } from '../../repository/s3/content-checksum.ts';
import { combineCrc32, crc32Base64 } from '../../repository/s3/crc32.ts';

test.each([
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
  [7, 4096],
  [65_537, 3],
  [1_000_000, 1_234_567],
])('the checksums of %i and %i bytes combine to that of both together', (first, second) => {
  const bytes = randomBytes(first + second);
  const [head, tail] = [bytes.subarray(0, first), bytes.subarray(first)];
  expect(combineCrc32(crc32(head), crc32(tail), tail.length)).toBe(crc32(bytes));
});

test('a length over 4 GiB is not cut to 32 bits', () => {
  const length = 2 ** 33 + 1;
  const withZeroes = (bytes: number) => combineCrc32(crc32('x'), crcOfZeroes(bytes), bytes);
  expect(withZeroes(length)).toBe(combineCrc32(withZeroes(2 ** 33), crcOfZeroes(1), 1));
  expect(withZeroes(length)).not.toBe(withZeroes(1));
});

test('parts agree with the store’s checksum in either form, and one flipped bit with neither', () => {
  const parts = [randomBytes(100_000), randomBytes(100_000), randomBytes(17)];
  const sent = checksumOf(parts);
  const whole = crc32Base64(crc32(Buffer.concat(parts)));
  const composite = `${crc32Base64(crc32(Buffer.concat(parts.map(crcBytes))))}-3`;
  expect(sent.bytes).toBe(200_017);
  expect(sent.agreesWith({ algorithm: 'CRC32', value: whole, type: 'FULL_OBJECT' })).toBe(true);
  expect(sent.agreesWith({ algorithm: 'CRC32', value: composite, type: 'COMPOSITE' })).toBe(true);

  (parts[1] as Buffer)[50_000]! ^= 1;
  const flipped = checksumOf(parts);
  expect(flipped.agreesWith({ algorithm: 'CRC32', value: whole, type: 'FULL_OBJECT' })).toBe(false);
  expect(flipped.agreesWith({ algorithm: 'CRC32', value: composite, type: 'COMPOSITE' })).toBe(false);
});

function checksumOf(parts: readonly Buffer[]): ContentChecksum {
  const checksum = new ContentChecksum();
  for (const part of parts) checksum.add(crc32(part), part.length);
  return checksum;
}

function crcBytes(part: Buffer): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(part));
  return bytes;
}

/** By halves: the checksum of 2n zeroes from that of n. */
function crcOfZeroes(bytes: number): number {
  const one = crc32(Buffer.alloc(1));
  if (bytes <= 1) return bytes === 0 ? 0 : one;
  const half = Math.floor(bytes / 2);
  const ofHalf = crcOfZeroes(half);
  const even = combineCrc32(ofHalf, ofHalf, half);
  return bytes % 2 === 0 ? even : combineCrc32(even, one, 1);
}
