import { createHash } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RewindError } from '../../errors/rewind-error.ts';
import { copyAside } from '../../incident/corruption/copy-aside.ts';
import { salvageRdb } from '../../incident/corruption/salvage-rdb.ts';
import { surveyAof } from '../../incident/corruption/survey-aof.ts';
import { guessForm, surveyRdb } from '../../incident/corruption/survey-rdb.ts';
import { Random } from '../../scripts/bench/random.ts';
import { resp, timestamp } from '../support/aof-file.ts';
import { damagers, digestsOf, quietIO, settingsOf } from '../support/corruption.ts';
import { bytes, length, listpack, RdbFile, text } from '../support/rdb-file.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let path: string;
beforeAll(async () => {
  folder = await temporaryFolder('survey');
  path = join(folder.path, 'file');
});
afterAll(() => folder.remove());

/** Two databases of texts and hashes; with the offset of each key's record. */
function dumpOf(keys: number, checksum: 'crc' | 'disabled' = 'crc') {
  const file = new RdbFile(11).aux('redis-ver', '7.2.4').aux('ctime', '1790000000').aux('repl-id', 'f'.repeat(40));
  const starts: number[] = [];
  for (const db of [0, 5]) {
    file.selectDb(db).resizeDb(keys, 0);
    for (let i = 0; i < keys; i++) {
      starts.push(file.offset);
      if (i % 3 === 0) file.key(16, `hash:${db}:${i}`, text(listpack(['field', `value ${i}`, 'other', i])));
      else file.key(0, `text:${db}:${i}`, text(`${i} is a text of a middling length`));
    }
  }
  return { bytes: file.end(checksum), starts };
}

describe('a damaged dump', () => {
  test('loses the one key whose length was changed, and none beside it', async () => {
    const { bytes, starts } = dumpOf(60);
    bytes[starts[31]! + 1]! ^= 0x04; // the length of its key
    await writeFile(path, bytes);
    const survey = await surveyRdb(path, {}, quietIO);
    expect(survey.keysExpected).toBe(120);
    expect(survey.keysBefore + survey.keysAfter).toBeGreaterThanOrEqual(117);
    expect(survey.lost[0]!.from).toBeLessThanOrEqual(starts[31]!);
    expect(survey.lost[0]!.to).toBeGreaterThanOrEqual(starts[32]!);
  });

  test('a listpack that would end a server is not carried on, and its neighbours are', async () => {
    const { bytes, starts } = dumpOf(60);
    const at = bytes.indexOf('field', starts[30]!);
    bytes[at + 5] = 0x7f; // how long the element before says it is
    await writeFile(path, bytes);
    const out = join(folder.path, 'out.rdb');
    const salvage = await salvageRdb(path, out, {}, quietIO);
    expect(salvage).toMatchObject({
      keysBefore: 30,
      keysAfter: 89,
      keysLost: 1,
      lost: [{ from: starts[30], to: starts[31] }],
    });
    expect(salvage.keysByDatabase).toEqual({ 0: 59, 5: 60 });
    const digests = await digestsOf(out);
    expect(digests.size).toBe(119);
    expect(digests.has('0 hash:0:30')).toBe(false);
  });

  test('an opcode that only Redis Enterprise writes is not carried on: it would end the server that loads it', async () => {
    // 107 is also a `k`: the first byte of a key whose type and length are missing.
    const file = new RdbFile(10).selectDb(0).resizeDb(40, 0);
    for (let i = 0; i < 20; i++) file.key(0, `text:${i}`, text('a value'));
    file.raw([107, 0x41, 0x20]);
    for (let i = 20; i < 40; i++) file.key(0, `text:${i}`, text('a value'));
    await writeFile(path, file.end('disabled'));
    const out = join(folder.path, 'out.rdb');
    expect(await salvageRdb(path, out, {}, quietIO)).toMatchObject({ keysBefore: 19, keysAfter: 20 });
    expect((await readFile(out)).includes(107)).toBe(false);
  });

  test.each([
    ['a type', 10, [20]],
    ['an opcode', 9, [245]],
  ])('%s that its version does not have yet is damage', async (_name, version, code) => {
    const file = new RdbFile(version).selectDb(0);
    for (let i = 0; i < 20; i++) file.key(0, `text:${i}`, text('a value'));
    file.raw(code, text('set'), text(listpack(['a', 'b'])));
    for (let i = 20; i < 40; i++) file.key(0, `text:${i}`, text('a value'));
    await writeFile(path, file.end('disabled'));
    const out = join(folder.path, 'out.rdb');
    expect(await salvageRdb(path, out, {}, quietIO)).toMatchObject({ keysBefore: 19, keysAfter: 20 });
    expect([...(await digestsOf(out)).keys()]).not.toContain('0 set');
  });

  test('what looks like a function library or a database among the keys is none', async () => {
    for (const inserted of [bytes([245], text('noise that is no library')), Buffer.from([254, 45, 0])]) {
      const file = new RdbFile(11).raw([245], text('#!lua name=own')).selectDb(0).resizeDb(40, 0);
      for (let i = 0; i < 20; i++) file.key(0, `text:${i}`, text('a value'));
      file.raw(inserted);
      for (let i = 20; i < 40; i++) file.key(0, `text:${i}`, text('a value'));
      await writeFile(path, file.end('disabled'));
      const salvage = await salvageRdb(path, join(folder.path, 'out.rdb'), {}, quietIO);
      expect(salvage).toMatchObject({ functionLibraries: 1, keysBefore: 19, keysByDatabase: { 0: 39 } });
    }
  });

  test('behind a head that is gone function libraries are found again', async () => {
    const file = new RdbFile(11).aux('redis-ver', '7.2.4').aux('ctime', '1790000000');
    file.raw([245], text('#!lua name=own')).selectDb(0).resizeDb(20, 0);
    for (let i = 0; i < 20; i++) file.key(0, `text:${i}`, text('a value'));
    await writeFile(path, file.end('disabled').fill(0xee, 20, 34));
    const salvage = await salvageRdb(path, join(folder.path, 'out.rdb'), {}, quietIO);
    expect(salvage).toMatchObject({ functionLibraries: 1, keysAfter: 20 });
  });

  test('keys behind a lost SELECTDB are told to be in a database that was guessed', async () => {
    const { bytes, starts } = dumpOf(60);
    bytes.fill(0xee, starts[58]! + 3, starts[61]!);
    await writeFile(path, bytes);
    const survey = await surveyRdb(path, {}, quietIO);
    // Its dump says one database only, before the damage; but more keys are there than that one held.
    expect(survey.databaseGuessed).toBe(true);
    expect(survey.keysExpected).toBeUndefined();
    bytes.fill(0xee, starts[70]! + 3, starts[72]!);
    await writeFile(path, bytes);
    expect((await surveyRdb(path, {}, quietIO)).keysAfter).toBeGreaterThan(40);
  });

  test('with a wrong checksum and nothing else is readable, and nothing vouches for a value', async () => {
    const { bytes, starts } = dumpOf(20);
    bytes[starts[1]! + 20]! ^= 1;
    await writeFile(path, bytes);
    const salvage = await salvageRdb(path, join(folder.path, 'out.rdb'), {}, quietIO);
    expect(salvage).toMatchObject({
      keysBefore: 40,
      keysAfter: 0,
      lost: [],
      damages: [{ code: 'RDB_CHECKSUM_WRONG', offset: -1 }],
    });
    expect(salvage.notes.join()).toContain('any value may be wrong');
  });

  test('that is a zeroed stretch is not read as thousands of empty keys', async () => {
    const { bytes, starts } = dumpOf(200);
    bytes.fill(0, starts[50]! + 10, starts[150]!);
    await writeFile(path, bytes);
    const survey = await surveyRdb(path, {}, quietIO);
    // The key before is given up with it: zeroes may have begun in its value.
    expect(survey.keysBefore).toBe(49);
    expect(survey.keysAfter).toBe(250);
  });

  test('with bytes behind its end is whole itself, and the server passes them', async () => {
    await writeFile(path, Buffer.concat([dumpOf(20).bytes, Buffer.from('tail')]));
    const survey = await surveyRdb(path, {}, quietIO);
    expect(survey).toMatchObject({ keysBefore: 40, crc: 'ok', damages: [{ code: 'RDB_TRAILING_BYTES' }], lost: [] });
  });

  test('that is nothing but noise has nothing, and does not take for ever', async () => {
    await writeFile(path, new Random(3).bytes(300_000));
    const error = await salvageRdb(path, join(folder.path, 'out.rdb'), {}, quietIO).catch((thrown) => thrown);
    if (!(error instanceof RewindError)) expect(error.keysBefore + error.keysAfter).toBeLessThan(3);
    else expect(error.code).toBe('CORRUPTION_NOTHING_READABLE');
    await writeFile(path, '');
    await expect(salvageRdb(path, join(folder.path, 'out.rdb'), {}, quietIO)).rejects.toMatchObject({
      code: 'CORRUPTION_NOTHING_READABLE',
    });
  });

  test('mutants of a dump without a checksum: what is written is always a whole dump of the keys that were counted', {
    timeout: 240_000,
  }, async () => {
    const { bytes } = dumpOf(60, 'disabled');
    const random = new Random(12);
    const out = join(folder.path, 'out.rdb');
    for (let i = 0; i < 150; i++) {
      const name = random.pick(Object.keys(damagers).filter((each) => !each.includes('piece')));
      await writeFile(
        path,
        damagers[name]!(Buffer.concat([bytes, Buffer.alloc(700)]).subarray(0, bytes.length), random),
      );
      const salvage = await salvageRdb(path, out, {}, quietIO).catch((thrown) => {
        expect(thrown).toMatchObject({ code: 'CORRUPTION_NOTHING_READABLE' });
        return undefined;
      });
      if (salvage === undefined) continue;
      expect((await digestsOf(out)).size, `mutant ${i}: ${name}`).toBe(salvage.keysBefore + salvage.keysAfter);
    }
  });

  test.each([
    [{ serverVersion: '6.2.14' }, 'REDIS', 9],
    [{ serverVersion: '7.0.15' }, 'REDIS', 10],
    [{ serverVersion: '7.2.4' }, 'REDIS', 11],
    [{ serverVersion: '8.2.3' }, 'REDIS', 12],
    [{ serverVersion: '8.1.8', serverName: 'valkey' as const }, 'REDIS', 11],
    [{ serverVersion: '9.1.2', serverName: 'valkey' as const }, 'VALKEY', 80],
    [{}, 'REDIS', 11],
  ])('a head that is gone is that of the server: %j', (options, magic, version) => {
    expect(guessForm(options)).toEqual({ magic, version });
  });

  test('is not named by its keys', async () => {
    const file = new RdbFile(11).selectDb(0);
    for (let i = 0; i < 40; i++) file.key(0, `secret:${i}`, text('secret value'));
    file.key(2, 'secret set', length(2), text('secret'), text('secret'));
    await writeFile(path, file.end());
    const { runs: _runs, functions: _functions, ...told } = await surveyRdb(path, {}, quietIO);
    expect(told.damages).not.toEqual([]);
    expect(JSON.stringify(told)).not.toContain('secret');
  });
});

describe('a damaged append-only file', () => {
  const parts = [
    resp('SELECT', 1),
    timestamp(1_790_000_000),
    ...Array.from({ length: 30 }, (_, i) => resp('SET', `k${i}`, 'v'.repeat(i))),
    timestamp(1_790_000_060),
    ...Array.from({ length: 30 }, (_, i) => resp('INCR', `n${i}`)),
  ];
  const whole = Buffer.concat(parts);
  const offsetOf = (part: number) => Buffer.concat(parts.slice(0, part)).length;

  test('is read on behind the damage, in the database that was selected', async () => {
    const file = Buffer.from(whole);
    file.fill(0, offsetOf(10) + 2, offsetOf(12));
    await writeFile(path, file);
    const survey = await surveyAof(path, {}, quietIO);
    expect(survey).toMatchObject({
      cut: offsetOf(10),
      commandsBefore: 9,
      commandsAfter: 50,
      newestBefore: 1_790_000_000,
      newestAfter: 1_790_000_060,
      lost: [{ from: offsetOf(10), to: offsetOf(12) }],
      databaseGuessed: true,
    });
    expect(survey.stretches[1]).toMatchObject({ db: 1, from: offsetOf(12) });
  });

  test('a command that comes only once and that no server has is damage; one that comes often is renamed', async () => {
    await writeFile(path, Buffer.concat([whole, resp('SEU', 'a', 'b'), resp('SET', 'a', 'c')]));
    const once = await surveyAof(path, {}, quietIO);
    expect(once).toMatchObject({
      cut: whole.length,
      damages: [{ code: 'AOF_CORRUPT', offset: whole.length }],
      commandsAfter: 1,
    });
    await writeFile(
      path,
      Buffer.concat([whole, resp('my-set', 'a', 'b'), resp('my-set', 'a', 'c'), resp('graph.add', 'x')]),
    );
    expect((await surveyAof(path, {}, quietIO)).damages).toEqual([]);
  });

  test('commands inside of a value are not taken for commands', async () => {
    const inside = Buffer.concat(Array.from({ length: 20 }, (_, i) => resp('SET', `fake${i}`, 'x')));
    const file = Buffer.concat([whole, resp('SET', 'log', inside), resp('SET', 'end', '1')]);
    file[whole.length - 1] = 0x20;
    await writeFile(path, file);
    expect(await surveyAof(path, {}, quietIO)).toMatchObject({ commandsBefore: 60, commandsAfter: 2 });
  });
});

describe('copied aside', () => {
  const settings = settingsOf('redis-7.0', { appendonly: true });

  async function server(name: string): Promise<string> {
    const dir = join(folder.path, name);
    await mkdir(join(dir, 'appendonlydir'), { recursive: true });
    await writeFile(join(dir, 'dump.rdb'), dumpOf(5).bytes);
    await writeFile(join(dir, 'appendonlydir', 'appendonly.aof.1.incr.aof'), resp('SET', 'a', 'b'));
    await writeFile(
      join(dir, 'appendonlydir', 'appendonly.aof.manifest'),
      'file appendonly.aof.1.incr.aof seq 1 type i\n',
    );
    return dir;
  }

  test('is every file that may hold data, by content and never by a hard link', async () => {
    const dir = await server('one');
    const aside = await copyAside(dir, join(folder.path, 'one-aside'), settings, quietIO);
    expect(aside.files.map(({ path: file }) => file).sort()).toEqual([
      'appendonlydir/appendonly.aof.1.incr.aof',
      'appendonlydir/appendonly.aof.manifest',
      'dump.rdb',
    ]);
    for (const file of aside.files) {
      const copy = await readFile(join(aside.dir, file.path));
      expect(createHash('sha256').update(copy).digest('hex')).toBe(file.sha256);
      expect(copy).toEqual(await readFile(join(dir, file.path)));
      expect((await stat(join(aside.dir, file.path))).nlink).toBe(1);
      expect((await stat(join(aside.dir, file.path))).ino).not.toBe((await stat(join(dir, file.path))).ino);
    }
  });

  test('goes on where it was: what is there is not copied again', async () => {
    const dir = await server('two');
    const asideDir = join(folder.path, 'two-aside');
    const first = await copyAside(dir, asideDir, settings, quietIO);
    const before = await stat(join(asideDir, 'dump.rdb'));
    const journal = JSON.parse(await readFile(join(asideDir, 'aside.json'), 'utf8'));
    journal.files = journal.files.filter(({ path: file }: { path: string }) => file === 'dump.rdb');
    await writeFile(join(asideDir, 'aside.json'), JSON.stringify(journal));
    await writeFile(join(asideDir, 'appendonlydir', 'appendonly.aof.1.incr.aof.partial'), 'half');
    expect([...(await copyAside(dir, asideDir, settings, quietIO)).files].sort(byPath)).toEqual(
      [...first.files].sort(byPath),
    );
    expect((await stat(join(asideDir, 'dump.rdb'))).ino).toBe(before.ino);
  });
  const byPath = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1);

  test('ends where a file has changed since: something started the server again', async () => {
    const dir = await server('three');
    const asideDir = join(folder.path, 'three-aside');
    await copyAside(dir, asideDir, settings, quietIO);
    const copy = await readFile(join(asideDir, 'dump.rdb'));
    await writeFile(join(dir, 'dump.rdb'), 'changed');
    await expect(copyAside(dir, asideDir, settings, quietIO)).rejects.toMatchObject({
      code: 'CORRUPTION_ASIDE_CHANGED',
    });
    expect(await readFile(join(asideDir, 'dump.rdb'))).toEqual(copy);
  });
});
