import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { RewindError } from '../../errors/rewind-error.ts';
import { ContentDigest } from '../../rdb/content-digest.ts';
import { isDecoded } from '../../rdb/types.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { Random } from '../../scripts/bench/random.ts';
import { inChunks } from '../support/rdb-content.ts';
import { around, compressible, encodingCases, incompressible } from '../support/rdb-encoding-cases.ts';
import { RdbFile } from '../support/rdb-file.ts';

const mutants = 4000;
/** One mutant takes some milliseconds, more on a busy machine; a reader that hangs or runs away shows here. */
const slowestMs = 10_000;
const memoryBytes = 96 * 1024 * 1024;

const cases = encodingCases({ long: compressible(5), random: incompressible(90), sizes: ['', 'a', 'b'.repeat(70)] });
/** Without a checksum: damage has to be found by what it does. */
const corpus = cases.map(([, version, magic, type, value]) => around(version, magic, type, value).end('disabled'));
corpus.push(
  new RdbFile(11)
    .aux('redis-ver', '7.0.15')
    .aux('ctime', '1700000000')
    .selectDb(1)
    .resizeDb(1, 1)
    .raw([244, 1, 1, 1, 245, 5], '#!lua', [247, 0x41, 0, 2, 1, 2, 9, 0])
    .expireAt(1700000000000)
    .raw([248, 5, 249, 3])
    .key(0, 'k', [1], 'v')
    .end('disabled'),
);

/** What a reader makes of a file: its keys with their digests, or its error with the offset. */
async function outcome(file: Uint8Array, chunk: number): Promise<string> {
  const digest = new ContentDigest();
  const found: string[] = [];
  try {
    const { crc, end } = await walkRdb(inChunks(file, chunk), {
      key: (entry) => {
        found.push(entry.copyKey().toString('hex'));
        if (!isDecoded(entry.type)) return null;
        digest.begin(entry.type);
        return digest;
      },
      keyEnd: ({ db, type, expireAtMs, start, end: behind }) => {
        const content = isDecoded(type) ? digest.end(expireAtMs) : type;
        found.push(`${db} ${start} ${behind} ${expireAtMs} ${content}`);
      },
    });
    return `${crc} ${end} ${found.join()}`;
  } catch (error) {
    if (!(error instanceof RewindError)) throw error;
    expect(error.code).toMatch(
      /^RDB_(NOT_A_DUMP|VERSION_UNKNOWN|TYPE_UNKNOWN|TRUNCATED|CORRUPT|CHECKSUM_WRONG|TRAILING_BYTES|STRING_TOO_LONG)$/,
    );
    const { offset } = error.details;
    expect(offset).toBeGreaterThanOrEqual(0);
    expect(offset).toBeLessThanOrEqual(file.length);
    return `${error.code} at ${offset}`;
  }
}

type Mutation = (file: Buffer, random: Random) => Buffer;

/** Bytes that mean much: ends, opcodes, encodings, long lengths. */
const loaded = [0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x81, 0xbf, 0xc0, 0xc3, 0xe0, 0xf0, 0xf4, 0xfa, 0xfc, 0xfe, 0xff];

const mutations: Record<string, Mutation> = {
  'bits flipped': (file, random) => {
    for (let i = random.between(1, 3); i > 0; i--) file[random.below(file.length)]! ^= 1 << random.below(8);
    return file;
  },
  'bytes replaced': (file, random) => {
    for (let i = random.between(1, 2); i > 0; i--) file[random.below(file.length)] = random.pick(loaded);
    return file;
  },
  'cut off': (file, random) => file.subarray(0, random.below(file.length)),
  'a piece taken out': (file, random) => {
    const at = random.below(file.length);
    return Buffer.concat([file.subarray(0, at), file.subarray(at + random.between(1, 20))]);
  },
  'a piece doubled': (file, random) => {
    const at = random.below(file.length);
    return Buffer.concat([file.subarray(0, at + random.between(1, 20)), file.subarray(at)]);
  },
  'bytes put in': (file, random) => {
    const at = random.below(file.length);
    return Buffer.concat([file.subarray(0, at), random.bytes(random.between(1, 12)), file.subarray(at)]);
  },
  'a long length put in': (file, random) => {
    const at = random.between(9, file.length - 1);
    const claim = random.chance(0.5) ? [0x80, ...random.bytes(4)] : [0x81, 0, 0, random.below(256), ...random.bytes(5)];
    return Buffer.concat([file.subarray(0, at), Buffer.from(claim), file.subarray(at + random.below(3))]);
  },
  'two files spliced': (file, random) => {
    const other = random.pick(corpus);
    return Buffer.concat([file.subarray(0, random.below(file.length)), other.subarray(random.below(other.length))]);
  },
};

describe('a dump that was mutated is read as what it now is, or refused with an offset: the same in every chunking', () => {
  test.each(Object.keys(mutations))('%s', { timeout: 120_000 }, async (name) => {
    const random = new Random(20_240_901);
    const before = await heldBytes();
    let refused = 0;
    let slowest = 0;
    const rounds = Math.ceil(mutants / Object.keys(mutations).length);
    for (let i = 0; i < rounds; i++) {
      const file = mutations[name]!(Buffer.from(random.pick(corpus)), random);
      const started = performance.now();
      const whole = await outcome(file, Math.max(1, file.length));
      const pieces = await outcome(file, random.between(1, 40));
      slowest = Math.max(slowest, performance.now() - started);
      expect(pieces, `mutant ${i}`).toBe(whole);
      if (whole.startsWith('RDB_')) refused++;
    }
    expect(refused).toBeGreaterThan(rounds / 10);
    expect(slowest).toBeLessThan(slowestMs);
    expect((await heldBytes()) - before).toBeLessThan(memoryBytes);
  });

  test('with a checksum, no mutant is taken for whole', { timeout: 120_000 }, async () => {
    const random = new Random(7);
    const summed = cases.flatMap(([, version, magic, type, value]) =>
      version < 5 ? [] : [around(version, magic, type, value).end()],
    );
    for (let i = 0; i < mutants / 4; i++) {
      const original = random.pick(summed);
      const file = random.pick(Object.values(mutations))(Buffer.from(original), random);
      if (file.equals(original) || summed.some((each) => each.equals(file))) continue;
      expect(await outcome(file, 64), `mutant ${i}`).toMatch(/^RDB_|^disabled/);
    }
  });
});

/** What is held, garbage aside: when that is collected is luck. */
async function heldBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  await setImmediate();
  collect();
  return process.memoryUsage().arrayBuffers;
}
