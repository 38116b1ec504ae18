import { Crc64 } from '../../rdb/crc64.ts';

/** Builds RDB files byte by byte, for encodings that no server at hand writes and for damage that none would write. */

type Bytes = Uint8Array | readonly number[];

export const bytes = (...parts: (Bytes | string)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))));

export function u16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(value);
  return buffer;
}

export function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

export function i64(value: number | bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigInt64LE(BigInt(value));
  return buffer;
}

export function f64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleLE(value);
  return buffer;
}

/** A length in the shortest form. */
export function length(value: number | bigint): Buffer {
  if (value < 64) return Buffer.from([Number(value)]);
  if (value < 16384) return Buffer.from([0x40 | (Number(value) >> 8), Number(value) & 0xff]);
  if (value <= 0xffff_ffff) {
    const buffer = Buffer.from([0x80, 0, 0, 0, 0]);
    buffer.writeUInt32BE(Number(value), 1);
    return buffer;
  }
  const buffer = Buffer.alloc(9, 0x81);
  buffer.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), 1);
  return buffer;
}

export const text = (value: string | Uint8Array): Buffer => bytes(length(value.length), value);

/** An integer as a string's special encoding. */
export function int(value: number): Buffer {
  if (value >= -128 && value < 128) return Buffer.from([0xc0, value & 0xff]);
  if (value >= -32768 && value < 32768) return Buffer.from([0xc1, value & 0xff, (value >> 8) & 0xff]);
  return bytes([0xc2], u32(value >>> 0));
}

/** A string in LZF, as a server would store it. */
export function lzf(value: string | Uint8Array): Buffer {
  const compressed = lzfCompress(Buffer.from(value));
  return bytes([0xc3], length(compressed.length), length(value.length), compressed);
}

/** Literal runs and copies from up to 8 KiB back; correct, not quick. */
export function lzfCompress(input: Uint8Array): Buffer {
  const out: number[] = [];
  let literals: number[] = [];
  const flush = () => {
    for (let i = 0; i < literals.length; i += 32) {
      const run = literals.slice(i, i + 32);
      out.push(run.length - 1, ...run);
    }
    literals = [];
  };
  const last = new Map<number, number>();
  for (let i = 0; i < input.length; ) {
    const key = (input[i]! << 16) | ((input[i + 1] ?? 0) << 8) | (input[i + 2] ?? 0);
    const from = i + 2 < input.length ? last.get(key) : undefined;
    last.set(key, i);
    if (from === undefined || i - from > 8192) {
      literals.push(input[i++]!);
      continue;
    }
    let run = 3;
    while (run < 264 && i + run < input.length && input[from + run] === input[i + run]) run++;
    flush();
    const distance = i - from - 1;
    if (run < 9) out.push(((run - 2) << 5) | (distance >> 8), distance & 0xff);
    else out.push((7 << 5) | (distance >> 8), run - 9, distance & 0xff);
    i += run;
  }
  flush();
  return Buffer.from(out);
}

export type Element = string | number | bigint | Uint8Array;

/** A listpack with each element in the encoding that a server would choose. */
export function listpack(elements: readonly Element[]): Buffer {
  const entries = elements.map((element) => {
    const entry = listpackEntry(element);
    return bytes(entry, backLength(entry.length));
  });
  const body = bytes(...entries);
  const count = Math.min(elements.length, 0xffff);
  return bytes(u32(body.length + 7), u16(count), body, [0xff]);
}

function listpackEntry(element: Element): Buffer {
  if (typeof element === 'bigint') return bytes([0xf4], i64(element));
  if (typeof element === 'number') {
    if (element >= 0 && element < 128) return Buffer.from([element]);
    if (element >= -4096 && element < 4096) return Buffer.from([0xc0 | ((element >> 8) & 0x1f), element & 0xff]);
    if (element >= -32768 && element < 32768) return bytes([0xf1], u16(element & 0xffff));
    if (element >= -8388608 && element < 8388608) return bytes([0xf2], u32(element >>> 0).subarray(0, 3));
    if (element >= -2147483648 && element < 2147483648) return bytes([0xf3], u32(element >>> 0));
    return bytes([0xf4], i64(element));
  }
  const { length: size } = element;
  if (size < 64) return bytes([0x80 | size], element);
  if (size < 4096) return bytes([0xe0 | (size >> 8), size & 0xff], element);
  return bytes([0xf0], u32(size), element);
}

function backLength(size: number): Buffer {
  const groups = size <= 127 ? 1 : size < 16383 ? 2 : size < 2097151 ? 3 : size < 268435455 ? 4 : 5;
  return Buffer.from(
    Array.from({ length: groups }, (_, i) => ((size / 128 ** (groups - 1 - i)) & 0x7f) | (i === 0 ? 0 : 0x80)),
  );
}

/** A ziplist with each element in the encoding that a server would choose. */
export function ziplist(elements: readonly Element[]): Buffer {
  const parts: Buffer[] = [];
  let previous = 0;
  let tail = 10;
  let at = 10;
  for (const element of elements) {
    const head = previous < 254 ? Buffer.from([previous]) : bytes([0xfe], u32(previous));
    const entry = bytes(head, ziplistEntry(element));
    parts.push(entry);
    tail = at;
    at += entry.length;
    previous = entry.length;
  }
  const count = Math.min(elements.length, 0xffff);
  return bytes(u32(at + 1), u32(tail), u16(count), ...parts, [0xff]);
}

function ziplistEntry(element: Element): Buffer {
  if (typeof element === 'bigint') return bytes([0xe0], i64(element));
  if (typeof element === 'number') {
    if (element >= 0 && element <= 12) return Buffer.from([0xf1 + element]);
    if (element >= -128 && element < 128) return Buffer.from([0xfe, element & 0xff]);
    if (element >= -32768 && element < 32768) return bytes([0xc0], u16(element & 0xffff));
    if (element >= -8388608 && element < 8388608) return bytes([0xf0], u32(element >>> 0).subarray(0, 3));
    if (element >= -2147483648 && element < 2147483648) return bytes([0xd0], u32(element >>> 0));
    return bytes([0xe0], i64(element));
  }
  const { length: size } = element;
  if (size < 64) return bytes([size], element);
  if (size < 16384) return bytes([0x40 | (size >> 8), size & 0xff], element);
  return bytes([0x80], u32(size).reverse(), element);
}

export function intset(width: 2 | 4 | 8, values: readonly (number | bigint)[]): Buffer {
  return bytes(u32(width), u32(values.length), ...values.map((value) => i64(value).subarray(0, width)));
}

/** A zipmap; `unused` bytes stand behind each value, as an overwritten one leaves them. */
export function zipmap(pairs: readonly (readonly [string, string])[], unused = 0): Buffer {
  const size = (value: string) => (value.length < 254 ? Buffer.from([value.length]) : bytes([254], u32(value.length)));
  const body = pairs.flatMap(([field, value]) => [
    bytes(size(field), field),
    bytes(size(value), [unused], value, Buffer.alloc(unused, '?')),
  ]);
  return bytes([Math.min(pairs.length, 254)], ...body, [0xff]);
}

/** A stream's id in 16 bytes. */
export function rawId(ms: number | bigint, seq: number | bigint): Buffer {
  return bytes(i64(BigInt.asIntN(64, BigInt(ms))).reverse(), i64(BigInt.asIntN(64, BigInt(seq))).reverse());
}

/** A whole file, header to checksum. */
export class RdbFile {
  readonly #parts: Buffer[];

  constructor(version = 11, magic: 'REDIS' | 'VALKEY' = 'REDIS') {
    this.#parts = [Buffer.from(magic + String(version).padStart(9 - magic.length, '0'))];
  }

  /** Where the next bytes go. */
  get offset(): number {
    return this.#parts.reduce((sum, { length: size }) => sum + size, 0);
  }

  raw(...parts: (Bytes | string)[]): this {
    this.#parts.push(bytes(...parts));
    return this;
  }

  aux(name: string, value: string): this {
    return this.raw([250], text(name), text(value));
  }

  selectDb(db: number): this {
    return this.raw([254], length(db));
  }

  resizeDb(keys: number, expires: number): this {
    return this.raw([251], length(keys), length(expires));
  }

  expireAt(ms: number): this {
    return this.raw([252], i64(ms));
  }

  key(type: number, name: string, ...value: (Bytes | string)[]): this {
    return this.raw([type], text(name), ...value);
  }

  /** End mark and checksum; `disabled` writes the eight zeroes of a server that sums nothing. */
  end(checksum: 'crc' | 'disabled' | 'none' = 'crc'): Buffer {
    const body = bytes(...this.#parts, [255]);
    if (checksum === 'none') return body;
    return bytes(body, checksum === 'disabled' ? Buffer.alloc(8) : checksumOf(body));
  }
}

/** The eight bytes that end a file. */
export function checksumOf(body: Uint8Array): Buffer {
  const crc = new Crc64();
  crc.update(body);
  return i64(BigInt.asIntN(64, crc.value));
}
