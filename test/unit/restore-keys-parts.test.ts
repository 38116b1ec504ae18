import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RdbWalker } from '../../rdb/walker.ts';
import { ByteStrings } from '../../restore/keys/byte-strings.ts';
import { ConflictNames } from '../../restore/keys/conflict-names.ts';
import { CursorFile, type PutKeysCursor } from '../../restore/keys/cursor.ts';
import { noFigures } from '../../restore/keys/figures.ts';
import { globMatches } from '../../restore/keys/glob.ts';
import { payloadVersion, versionByRelease } from '../../restore/keys/payload-version.ts';
import { ReplyReader } from '../../restore/keys/reply-reader.ts';
import { resumePoint } from '../../restore/keys/resume-point.ts';
import { writeDecimal } from '../../restore/keys/write-decimal.ts';
import { Random } from '../../scripts/bench/random.ts';
import { RdbFile, text } from '../support/rdb-file.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test.each([
  ['*', 'anything', true],
  ['*', '', true],
  ['', '', true],
  ['', 'a', false],
  ['user:*', 'user:1', true],
  ['user:*', 'use', false],
  ['*:1', 'user:1', true],
  ['h?llo', 'hello', true],
  ['h?llo', 'hllo', false],
  ['h[ae]llo', 'hallo', true],
  ['h[^e]llo', 'hello', false],
  ['h[a-c]llo', 'hbllo', true],
  ['h[c-a]llo', 'hbllo', true],
  ['h[\\]]llo', 'h]llo', true],
  ['h\\*llo', 'h*llo', true],
  ['h\\*llo', 'hello', false],
  ['a*b*c', 'a--b--c', true],
  ['a*b*c', 'a--c--b', false],
  ['a*', 'a', true],
  ['a**b', 'ab', true],
  ['[abc', 'c', true],
])('the pattern %s against %s: %s, as KEYS has it', (pattern, key, expected) => {
  expect(globMatches(Buffer.from(pattern), Buffer.from(key))).toBe(expected);
});

test('no pattern takes for ever', () => {
  const since = performance.now();
  expect(globMatches(Buffer.from(`${'a*'.repeat(30)}b`), Buffer.from('a'.repeat(500)))).toBe(false);
  expect(performance.now() - since).toBeLessThan(2000);
});

test('a set of byte strings is exact, also where hashes meet, with empty ones and bytes that are no text', () => {
  const random = new Random(9);
  const strings = new ByteStrings();
  const known = new Set<string>();
  for (let i = 0; i < 20_000; i++) {
    const bytes = random.bytes(random.below(6));
    strings.add(bytes);
    known.add(bytes.toString('hex'));
  }
  expect(strings.size).toBe(known.size);
  for (let i = 0; i < 20_000; i++) {
    const bytes = random.bytes(random.below(6));
    expect(strings.has(bytes)).toBe(known.has(bytes.toString('hex')));
  }
});

test.each([
  ['REDIS', 10, 10, 10],
  ['REDIS', 9, 12, 9],
  ['REDIS', 12, 10, 10],
  ['REDIS', 11, 80, 11],
  // Valkey 9 refuses the versions that only Redis writes; what both know has at most 11.
  ['REDIS', 12, 80, 11],
  ['VALKEY', 80, 12, 11],
  ['VALKEY', 80, 80, 80],
] as const)('a %s dump of version %i for a server of %i: payloads of %i', (magic, version, target, expected) => {
  expect(payloadVersion({ magic, version }, target)).toBe(expected);
});

test.each([
  ['redis', '6.2.14', 9],
  ['redis', '7.0.15', 10],
  ['redis', '7.2.4', 11],
  ['redis', '8.2.3', 12],
  ['valkey', '8.1.8', 11],
  ['valkey', '9.1.2', 80],
] as const)('%s %s writes RDB version %i', (name, release, expected) => {
  expect(versionByRelease(name, release)).toBe(expected);
});

test('replies are read whatever the chunks they come in: only errors and numbers are kept', () => {
  const stream = Buffer.from(
    '+OK\r\n+OK\r\n-BUSYKEY there\r\n:42\r\n$5\r\nhe\nlo\r\n$-1\r\n*2\r\n:1\r\n-ERR inside\r\n*0\r\n*2\r\n*1\r\n+OK\r\n$0\r\n\r\n+PONG\r\n+OK\r\n',
  );
  for (const size of [1, 2, 3, 7, stream.length]) {
    const seen: unknown[] = [];
    const reader = new ReplyReader({
      ok: () => seen.push('OK'),
      reply: (error, integer) => seen.push(error ?? integer ?? null),
    });
    for (let at = 0; at < stream.length; at += size) reader.feed(stream.subarray(at, at + size));
    expect(seen).toEqual(['OK', 'OK', 'BUSYKEY there', 42, null, null, 'ERR inside', null, null, null, 'OK']);
  }
});

test.each([0, 9, 10, 99, 100, 1_700_000_000_123, 4_102_444_800_000, Number.MAX_SAFE_INTEGER])(
  '%i in decimal',
  (value) => {
    const bytes = new Uint8Array(32);
    expect(Buffer.from(bytes.subarray(0, writeDecimal(bytes, 0, value))).toString()).toBe(String(value));
  },
);

test('a walk that begins at any record tells the same of what follows', () => {
  const file = new RdbFile(11).selectDb(3);
  for (let i = 0; i < 40; i++)
    (i % 3 === 0 ? file.expireAt(1_800_000_000_000 + i) : file).key(0, `key:${i}`, text('v'.repeat(i)));
  const dump = file.selectDb(5).key(0, 'other', text('v')).end();
  const walk = (start?: ConstructorParameters<typeof RdbWalker>[1]) => {
    const told: unknown[] = [];
    const walker = new RdbWalker(
      {
        key: () => null,
        keyEnd: ({ db, start: from, end, expireAtMs }) => void told.push({ db, from, end, expireAtMs }),
      },
      start,
    );
    const bytes = dump.subarray(start?.offset ?? 0);
    walker.room().set(bytes);
    walker.advance(bytes.length);
    expect(walker.done).toBe(true);
    expect(walker.offset).toBe(dump.length);
    return told as { db: number; from: number; end: number }[];
  };
  const all = walk();
  expect(all).toHaveLength(41);
  for (const [i, { db, end }] of all.entries()) {
    expect(walk({ magic: 'REDIS', version: 11, offset: end, db })).toEqual(all.slice(i + 1));
  }
});

const now = { dumpBytes: 1000, magic: 'REDIS', version: 11, runId: 'a', asked: 'x' } as const;
const cursor = (change: Partial<PutKeysCursor>): PutKeysCursor => ({
  ...now,
  offset: 100,
  db: 2,
  sentUpTo: 200,
  figures: { ...noFigures, restored: 7 },
  namesBytes: 30,
  ...change,
});
const fromStart = { offset: 0, db: 0, figures: noFigures, namesBytes: 0 };

test('where to go on: the furthest place that is known, in doubt up to the furthest that was announced', () => {
  expect(resumePoint(now, undefined, undefined, false)).toEqual({ ...fromStart, doubtUpTo: 0 });
  // Begun, and no cursor of it is left: anything may have been sent.
  expect(resumePoint(now, undefined, undefined, true)).toEqual({ ...fromStart, doubtUpTo: 1000 });
  const kept = cursor({ offset: 150, sentUpTo: 400, namesBytes: 50 });
  const expected = { offset: 150, db: 2, figures: kept.figures, namesBytes: 50, doubtUpTo: 400 };
  expect(resumePoint(now, cursor({}), kept, true)).toEqual(expected);
  expect(resumePoint(now, kept, cursor({}), true)).toEqual(expected);
  expect(resumePoint(now, undefined, kept, true)).toEqual(expected);
});

test('a server that was started anew, or another wish, begins anew and doubts what was sent', () => {
  expect(resumePoint(now, cursor({ runId: 'b' }), undefined, true)).toEqual({ ...fromStart, doubtUpTo: 200 });
  expect(resumePoint(now, undefined, cursor({ asked: 'y' }), true)).toEqual({ ...fromStart, doubtUpTo: 200 });
  expect(() => resumePoint(now, cursor({ dumpBytes: 999 }), undefined, true)).toThrow(/belongs to a dump of 999 bytes/);
});

test('of two places the newest whole one counts: the other was being written when the process was killed', async () => {
  await using folder = await temporaryFolder('cursor');
  const names = join(folder.path, 'names');
  const first = new CursorFile(names);
  expect(first.read()).toBeUndefined();
  for (let offset = 1; offset <= 5; offset++) first.write(cursor({ offset }));
  first.close();
  const again = new CursorFile(names);
  expect(again.read()?.offset).toBe(5);
  again.write(cursor({ offset: 6 }));
  again.close();
  const bytes = await readFile(`${names}.cursor`);
  bytes.write('half of what was to be', 0);
  await writeFile(`${names}.cursor`, bytes);
  const broken = new CursorFile(names);
  expect(broken.read()?.offset).toBe(5);
  broken.close();
});

test('half a line at the end of the list of names is cut off; what was listed is known again', async () => {
  await using folder = await temporaryFolder('names');
  const path = join(folder.path, 'names');
  const first = ConflictNames.open(path);
  expect(first.isNew).toBe(true);
  const binary = Buffer.from([0xff, 0, 10]);
  first.names.add(0, Buffer.from('a'), 'kept');
  first.names.add(3, binary, 'replaced');
  first.names.flush();
  const whole = first.names.length;
  first.names.close();
  await writeFile(path, `${await readFile(path, 'utf8')}{"db":0,"key":"ha`);
  const { names, isNew } = ConflictNames.open(path);
  expect([isNew, names.length]).toEqual([false, whole]);
  names.recall(0);
  expect([
    names.has(0, Buffer.from('a')),
    names.has(3, binary),
    names.has(0, binary),
    names.has(0, Buffer.from('ha')),
  ]).toEqual([true, true, false, false]);
  names.close();
  expect((await readFile(path, 'utf8')).endsWith('}\n')).toBe(true);
});
