import { crc32 } from 'node:zlib';

/** The reflected polynomial of CRC-32 (ISO 3309, as in zlib and S3's CRC32). */
const POLYNOMIAL = 0xedb88320;

export { crc32 };

/** As S3 writes it: four bytes, most significant first, in base64. */
export function crc32Base64(crc: number): string {
  return crc32Bytes(crc).toString('base64');
}

/**
 * The checksum of two pieces put together, from the checksum of each: parts are stored in any order, by several at once.
 *
 * Appending n bytes to a message multiplies its checksum by x^(8n) modulo the polynomial.
 *
 * @param secondBytes length of the second piece
 */
export function combineCrc32(first: number, second: number, secondBytes: number): number {
  let shifted = first >>> 0;
  // x^8, x^16, x^32, … : one squaring for each bit of the length.
  let power = 0x0080_0000;
  for (let length = secondBytes; length > 0; length = Math.floor(length / 2)) {
    if (length % 2 === 1) shifted = multiply(power, shifted);
    power = multiply(power, power);
  }
  return (shifted ^ second) >>> 0;
}

/** S3's COMPOSITE form: the checksum of the parts' checksums, and how many there are. */
export function compositeCrc32(parts: readonly number[]): string {
  return `${crc32Base64(crc32(Buffer.concat(parts.map(crc32Bytes))))}-${parts.length}`;
}

function crc32Bytes(crc: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc >>> 0);
  return bytes;
}

/** Product of two polynomials modulo CRC-32's; the highest bit is the coefficient of x^0. */
function multiply(a: number, b: number): number {
  let product = 0;
  let factor = b >>> 0;
  for (let bit = 0x8000_0000; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor;
    factor = (factor & 1) !== 0 ? (factor >>> 1) ^ POLYNOMIAL : factor >>> 1;
  }
  return product >>> 0;
}
