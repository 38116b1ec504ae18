import { Crc64 } from '../../rdb/crc64.ts';
import { RdbWalker } from '../../rdb/walker.ts';
import { Random } from '../../scripts/bench/random.ts';

/** A dump that is altered, with where its records and values begin. */
export interface MutantBase {
  readonly bytes: Buffer;
  readonly starts: readonly number[];
  readonly valueStarts: readonly number[];
}

export interface Mutant {
  readonly bytes: Buffer;
  /** Which dump it was made of. */
  readonly base: number;
  readonly how: string;
}

const checksumBytes = 8;

export function mutantBase(bytes: Buffer): MutantBase {
  const starts: number[] = [];
  const valueStarts: number[] = [];
  const walker = new RdbWalker({
    keyEnd: ({ start, valueStart }) => {
      starts.push(start);
      valueStarts.push(valueStart);
    },
  });
  for (let at = 0; at < bytes.length; ) {
    const room = walker.room();
    const take = Math.min(room.length, bytes.length - at);
    room.set(bytes.subarray(at, at + take));
    walker.advance(take);
    at += take;
  }
  return { bytes, starts, valueStarts };
}

type Alteration = (file: Buffer, base: MutantBase, random: Random, corpus: readonly MutantBase[]) => Buffer;

/** Bytes that mean much: ends, opcodes, types, encodings, long lengths. */
const loaded = [
  0, 1, 2, 5, 7, 11, 15, 16, 18, 20, 25, 0x3f, 0x40, 0x6b, 0x79, 0x7f, 0x80, 0x81, 0xbf, 0xc0, 0xc3, 0xe0, 0xf0, 0xf4,
  0xf5, 0xf7, 0xfa, 0xfc, 0xfe, 0xff,
];

const without = (file: Buffer, at: number, bytes: number, put: Uint8Array = Buffer.alloc(0)) =>
  Buffer.concat([file.subarray(0, at), put, file.subarray(at + bytes)]);

/** A place where lengths, types and counts stand. */
function structural({ starts, valueStarts, bytes }: MutantBase, random: Random): number {
  const at = random.chance(0.6) ? random.pick(valueStarts) : random.pick(starts);
  return Math.min(bytes.length - 1, at + random.below(random.chance(0.7) ? 3 : 40));
}

const alterations: Readonly<Record<string, Alteration>> = {
  'bits flipped': (file, _base, random) => {
    for (let i = random.between(1, 3); i > 0; i--) file[random.between(9, file.length - 1)]! ^= 1 << random.below(8);
    return file;
  },
  'bytes of meaning': (file, base, random) => {
    for (let i = random.between(1, 2); i > 0; i--) file[structural(base, random)] = random.pick(loaded);
    return file;
  },
  'a length altered': (file, base, random) => {
    const at = structural(base, random);
    file[at] = (file[at]! + random.pick([-2, -1, 1, 2, 64])) & 0xff;
    return file;
  },
  'a long length put in': (file, base, random) => {
    const claim = random.chance(0.5) ? [0x80, ...random.bytes(4)] : [0x81, 0, 0, random.below(256), ...random.bytes(5)];
    return without(file, structural(base, random), random.below(3), Buffer.from(claim));
  },
  truncated: (file, _base, random) => file.subarray(0, random.between(1, file.length - 1)),
  'a piece taken out': (file, _base, random) =>
    without(file, random.between(9, file.length - 1), random.between(1, random.chance(0.5) ? 20 : 2000)),
  'bytes put in': (file, _base, random) =>
    without(file, random.between(9, file.length - 1), 0, random.bytes(random.between(1, 12))),
  'a piece twice': (file, _base, random) => {
    const at = random.between(9, file.length - 1);
    return Buffer.concat([file.subarray(0, Math.min(file.length, at + random.between(1, 500))), file.subarray(at)]);
  },
  zeroes: (file, _base, random) => {
    const at = random.between(9, file.length - 1);
    return file.fill(0, at, Math.min(file.length, at + random.between(1, 300)));
  },
  'records exchanged': (file, base, random) => {
    const i = random.below(base.starts.length - 1);
    const [a, b] = [base.starts[i]!, base.starts[i + 1]!];
    const c = base.starts[i + 2] ?? b;
    return Buffer.concat([file.subarray(0, a), file.subarray(b, c), file.subarray(a, b), file.subarray(c)]);
  },
  "another record's value": (file, base, random) => {
    const [from, to] = [random.below(base.starts.length - 1), random.below(base.starts.length - 1)];
    const value = file.subarray(base.valueStarts[from]!, base.starts[from + 1]!);
    const at = base.valueStarts[to]!;
    return without(file, at, base.starts[to + 1]! - at, value);
  },
  'two dumps spliced': (file, base, random, corpus) => {
    const other = random.pick(corpus);
    const cut = random.chance(0.5) ? random.pick(base.starts) : random.below(file.length);
    const from = random.chance(0.5) ? random.pick(other.starts) : random.below(other.bytes.length);
    return Buffer.concat([file.subarray(0, cut), other.bytes.subarray(from)]);
  },
};

/**
 * The mutant of this number: of the same corpus and seed always the same. Half of them have their checksum made right
 * and most of the others have none: the checksum alone would find nearly all, and damage has to be found without it.
 */
export function mutantOf(corpus: readonly MutantBase[], seed: number, number: number): Mutant {
  const random = new Random((seed * 0x9e3779b1 + number) >>> 0);
  const base = random.below(corpus.length);
  const how = random.pick(Object.keys(alterations));
  const from = corpus[base]!;
  const altered = alterations[how]!(Buffer.from(from.bytes), from, random, corpus);
  const bytes = Buffer.from(altered);
  const sumAt = bytes.length - checksumBytes;
  const share = random.below(20);
  if (share < 19 && sumAt > 9 && how !== 'truncated') {
    const crc = new Crc64();
    crc.update(bytes, 0, sumAt);
    bytes.writeBigUInt64LE(share < 10 ? crc.value : 0n, sumAt);
  }
  return { bytes, base, how };
}
