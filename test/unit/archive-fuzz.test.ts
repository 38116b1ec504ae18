import { expect, test } from 'vitest';
import { decodeHourIndex, encodeHourIndex, type HourIndex } from '../../archive/hour-index.ts';
import {
  parseBaseRecordKey,
  parseEventKey,
  parseHourKey,
  parseSegmentKey,
  parseTimelineKey,
} from '../../archive/layout.ts';
import { readChain } from '../../archive/read/chain.ts';
import type { TimelineNames } from '../../archive/read/listing.ts';
import { segmentParts } from '../../archive/read/segment-stream.ts';
import { baseSchema, decodeRecord, eventSchema, timelineSchema } from '../../archive/records.ts';
import { encodeSegment } from '../../archive/segment.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { Repository } from '../../repository/repository.ts';
import { Random } from '../../scripts/bench/random.ts';
import { resp } from '../support/aof-file.ts';
import { inChunks } from '../support/rdb-content.ts';

/** `npm run test:mutants` reads tens of thousands. */
const mutants = Number(process.env.REWIND_ARCHIVE_MUTANTS ?? 2_000);
const seed = Number(process.env.REWIND_ARCHIVE_MUTANTS ? (process.env.REWIND_SEED ?? Date.now() % 1e6) : 0);
const timeout = 3_600_000;
const identity = '6f2c1c5e-4a51-4c0e-9d55-0d8f5a3a2b11';
const codes = /^ARCHIVE_(SEGMENT_DAMAGED|CHAIN_BROKEN|RECORD_INVALID)$/;

/** Three segments that follow one another, with what line-by-line tools break on. */
const bodies = ['a', '\r\n\0*1\r\n', 'c'].map((value) =>
  Buffer.concat([resp('SELECT', '0'), resp('SET', 'key\n{"formatVersion":1}\n', value), resp('flushall')]),
);
const segments: Buffer[] = [];
let position = 0;
let previous: string | null = null;
for (const body of bodies) {
  const encoded = encodeSegment(
    {
      instance: 'orders',
      identity,
      timeline: 1,
      start: position,
      end: position + body.length,
      file: { name: 'appendonly.aof.1.incr.aof', offset: position },
      db: 0,
      commands: 3,
      firstMs: 1_700_000_000_000 + position,
      lastMs: 1_700_000_000_000 + position,
      marks: [[1_700_000_000_000 + position, position + body.length]],
      previous,
      runId: '',
    },
    body,
  );
  segments.push(encoded.bytes);
  previous = encoded.digest;
  position += body.length;
}
const whole = Buffer.concat(segments);

const mutations: Record<string, (bytes: Buffer, random: Random) => Buffer> = {
  'bits flipped': (bytes, random) => {
    for (let i = random.between(1, 3); i > 0; i--) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    return bytes;
  },
  'digits replaced': (bytes, random) => {
    for (let at = random.below(bytes.length), left = 40; left > 0; at = (at + 1) % bytes.length, left--) {
      if (bytes[at]! >= 0x30 && bytes[at]! <= 0x39) bytes[at] = 0x30 + random.below(10);
    }
    return bytes;
  },
  'cut off': (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  'a piece taken out': (bytes, random) => {
    const from = random.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + random.between(1, 40))]);
  },
  'a piece twice': (bytes, random) => {
    const from = random.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, from + random.below(60)), bytes.subarray(from)]);
  },
  'segments in another order': (_, random) => Buffer.concat([0, 1, 2].map(() => segments[random.below(3)] as Buffer)),
  'a huge number': (bytes, random) => {
    const at = bytes.indexOf(':', random.below(bytes.length));
    return at < 0
      ? bytes
      : Buffer.concat([bytes.subarray(0, at + 1), Buffer.from('9007199254740991'), bytes.subarray(at + 2)]);
  },
  'no line feed at all': (bytes) => Buffer.from(bytes.map((byte) => (byte === 0x0a ? 0x20 : byte))),
};

const names: TimelineNames = {
  timeline: 1,
  recorded: true,
  bases: [],
  segments: [],
  hours: [{ start: 0, end: position, firstMs: 1_700_000_000_000, lastMs: 1_700_000_000_000 + position }],
  events: [],
};
const index = (bytes: Buffer): HourIndex => ({
  formatVersion: 1,
  instance: 'orders',
  identity,
  timeline: 1,
  sizeBytes: bytes.length,
  sha256: '0'.repeat(64),
  segments: [[0, position, 0, 0, 0]],
});

/** The bytes that a chain of the mutant proves, or its error. */
async function outcome(bytes: Buffer, chunk: number): Promise<string> {
  const repository = {
    readSmall: async () => encodeHourIndex(index(bytes), 'an index'),
    read: async () => Object.assign(inChunks(bytes, chunk), { destroy: () => undefined }),
  } as unknown as Repository;
  const proven: Buffer[] = [];
  let open: Buffer[] = [];
  try {
    const range = { timeline: 1, from: 0, to: position };
    for await (const part of readChain({ repository, instance: 'orders' }, names, range, { identity })) {
      if (part.part === 'bytes') open.push(Buffer.from(part.bytes));
      else if (part.part === 'end') proven.push(...open.splice(0));
      else open = [];
    }
    return Buffer.concat(proven).toString('latin1');
  } catch (error) {
    if (!(error instanceof RewindError)) throw error;
    expect(error.code).toMatch(codes);
    return error.code;
  }
}

test.each(Object.entries(mutations))(
  '%s: what is proven is what was written, and anything else is named',
  async (name, mutate) => {
    const random = new Random(seed + name.length * 7_919);
    const intact = Buffer.concat(bodies).toString('latin1');
    expect(await outcome(Buffer.from(whole), 7)).toBe(intact);
    for (let i = 0; i < mutants / Object.keys(mutations).length; i++) {
      const mutant = mutate(Buffer.from(whole), random);
      const once = await outcome(mutant, random.between(1, 400));
      // What does not change the proven bytes (a name of a file, a time in a header of no chain) is no damage of theirs.
      if (!codes.test(once)) expect(once).toBe(intact);
      expect(await outcome(mutant, mutant.length + 1)).toBe(once);
    }
  },
  timeout,
);

test('a header that claims to go on for ever is given up after its limit', async () => {
  let given = 0;
  async function* endless() {
    for (;;) {
      given += 16_384;
      yield Buffer.alloc(16_384, 0x20);
    }
  }
  const reading = (async () => {
    for await (const _ of segmentParts(endless(), 'an object'));
  })();
  await expect(reading).rejects.toThrow(/header/);
  expect(given).toBeLessThan(512 * 1024);
});

test('records, indexes and names of any bytes are read or refused by code', { timeout }, () => {
  const random = new Random(seed + 11);
  const common = { formatVersion: 1, instance: 'orders', identity, timeline: 1 };
  const server = { name: 'redis', version: '7.0.15', runId: '' };
  const documents = [
    JSON.stringify({ ...common, start: 0, startedMs: 1, why: 'first', server }),
    JSON.stringify({ ...common, position: 0, kind: 'rdb', sizeBytes: 1, sha256: '0'.repeat(64), timeMs: 1, server }),
    JSON.stringify({ ...common, kind: 'destructive', position: 1, timeMs: 1, command: 'FLUSHALL' }),
    encodeHourIndex(index(whole), 'an index').toString(),
  ];
  const readers = [
    (bytes: Buffer) => decodeRecord(timelineSchema, bytes, 'a record'),
    (bytes: Buffer) => decodeRecord(baseSchema, bytes, 'a record'),
    (bytes: Buffer) => decodeRecord(eventSchema, bytes, 'a record'),
    (bytes: Buffer) => decodeHourIndex(bytes, 'an index'),
  ];
  for (const [i, read] of readers.entries()) expect(read(Buffer.from(documents[i] as string))).toBeDefined();
  const kinds = Object.values(mutations);
  for (let i = 0; i < mutants; i++) {
    const which = random.below(readers.length);
    const mutant = random.pick(kinds)(Buffer.from(documents[which] as string), random);
    try {
      readers[which]!(mutant);
    } catch (error) {
      expect((error as RewindError).code).toBe('ARCHIVE_RECORD_INVALID');
      expect((error as RewindError).message.length).toBeLessThan(400);
    }
  }
  for (let i = 0; i < mutants; i++) {
    const tail = random.bytes(random.below(60)).toString('latin1');
    const key = `aof/orders/${random.pick(['segments', 'hours', 'bases', 'events', 'timelines'])}/00000001/${tail}`;
    parseTimelineKey(key, 'orders');
    for (const parse of [parseSegmentKey, parseHourKey, parseBaseRecordKey, parseEventKey]) parse(key, 'orders', 1);
  }
});
