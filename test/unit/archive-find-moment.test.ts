import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findMoment, type MomentAsked } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import { drawArchive } from '../../archive/read/timeline.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { ArchiveCutter } from '../support/archive-cutter.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';
import { WrittenAof } from '../support/written-aof.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
const noon = Date.parse('2026-11-20T12:00:00.000Z');
const instance = 'orders';

let folder: TemporaryFolder;
let repository: Repository;
let cutter: ArchiveCutter;
let aof: WrittenAof;

beforeEach(async () => {
  folder = await temporaryFolder('find-moment');
  repository = await openRepository({ url: `file://${folder.path}/repository` });
  cutter = new ArchiveCutter(repository, { instance, segmentBytes: () => 80 });
  aof = new WrittenAof(join(folder.path, 'aof'));
  await aof.rewrite('base');
  await cutter.begin('first', undefined, noon);
});
afterEach(() => folder.remove());

const find = (asked: MomentAsked, timeline?: number) => findMoment({ repository, instance }, asked, { timeline });
const at = (timeMs: number) => find({ kind: 'time', timeMs });
const codeOf = async (finding: Promise<unknown>) => {
  const error = await finding.catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(RewindError);
  return error as RewindError;
};

/** The commands that are replayed, as text. */
async function replayed(moment: Awaited<ReturnType<typeof find>>): Promise<string> {
  const dir = join(folder.path, `laid-${Math.random()}`);
  await layDown({ repository, instance }, moment, dir, io);
  return readFile(join(dir, 'appendonlydir', 'appendonly.aof.1.incr.aof'), 'latin1');
}

test('a position inside of a command, or of a transaction, is cut before it', async () => {
  await aof.append(['SET', 'first', '1'], ['MULTI'], ['SET', 'second', '2'], ['SET', 'third', '3'], ['EXEC']);
  await aof.append(['SET', 'fourth', '4']);
  await cutter.look(aof.dir, noon);
  const transaction = cutter.units.find(({ name }) => name === 'multi')!;
  for (const position of [transaction.start, transaction.start + 1, transaction.end - 1]) {
    const moment = await find({ kind: 'position', position });
    expect(moment.position).toBe(transaction.start);
    const commands = await replayed(moment);
    expect(commands).toContain('first');
    expect(commands).not.toMatch(/MULTI|second/);
  }
  expect(await replayed(await find({ kind: 'position', position: transaction.end }))).toMatch(/third[\s\S]*EXEC/);
});

test('what was written at or before a time is kept, to the look at the file', async () => {
  await aof.append(['SET', 'key', 'one']);
  await cutter.look(aof.dir, noon + 1_000);
  await aof.append(['SET', 'key', 'two']);
  await cutter.look(aof.dir, noon + 4_000);
  for (const [ms, last] of [
    [1_000, 'one'],
    [2_500, 'one'],
    [3_700, 'one'],
    [4_000, 'two'],
    [9_000, 'two'],
  ] as const) {
    const commands = await replayed(await at(noon + ms));
    expect(commands.includes('two'), `${ms} ms`).toBe(last === 'two');
  }
  // Acknowledged before the look that saw it first: who named this time means it, too.
  expect(await replayed(await at(noon + 3_960))).toContain('two');
});

test('between two looks the seconds in the file tell, and nothing destructive is kept in doubt', async () => {
  const second = noon / 1_000;
  await aof.second(second);
  await aof.append(['SET', 'key', 'one']);
  await cutter.look(aof.dir, noon + 100);
  await aof.second(second + 2);
  await aof.append(['SET', 'key', 'two']);
  await aof.second(second + 5);
  await aof.append(['SET', 'key', 'three']);
  await cutter.look(aof.dir, noon + 9_000);
  const moment = await at(noon + 4_500);
  const commands = await replayed(moment);
  expect(commands).toContain('two');
  expect(commands).not.toContain('three');
  expect(moment.precision).toMatch(/second/);
  await aof.append(['FLUSHALL']);
  await cutter.look(aof.dir, noon + 9_100);
  expect(await replayed(await at(noon + 9_099))).not.toMatch(/flushall/i);
  expect(await replayed(await at(noon + 9_100))).toMatch(/flushall/i);
});

test('a time or a position in a gap is refused with the nearest moments on both sides', async () => {
  await aof.append(['SET', 'before', '1']);
  await cutter.look(aof.dir, noon);
  const left = cutter.position;
  await cutter.gap(5_000, noon + 10_000, noon + 60_000);
  await aof.rewrite('behind the gap');
  await aof.append(['SET', 'behind', '2']);
  await cutter.look(aof.dir, noon + 60_000);
  const behind = left + 5_000;
  for (const asked of [
    { kind: 'time', timeMs: noon + 30_000 },
    { kind: 'position', position: left + 100 },
  ] as const) {
    const { code, details } = await codeOf(find(asked));
    expect(code).toBe('ARCHIVE_MOMENT_IN_GAP');
    expect(details).toMatchObject({ before: { position: left }, after: { position: behind } });
  }
  expect(await replayed(await find({ kind: 'position', position: left }))).toContain('before');
  expect((await find({ kind: 'position', position: behind })).base.position).toBe(behind);
  expect(await replayed(await at(noon + 60_000))).not.toContain('before');
  const [picture] = await drawArchive({ repository, instance });
  expect(picture?.gaps).toMatchObject([{ from: { position: left }, to: { position: behind } }]);
});

test('after a restore the old future stays restorable, and each time belongs to one timeline', async () => {
  await aof.append(['SET', 'kept', '1']);
  await cutter.look(aof.dir, noon);
  const left = cutter.position;
  await aof.append(['SET', 'old future', '2']);
  await cutter.look(aof.dir, noon + 10_000);
  const old = cutter.position;
  const restored = new WrittenAof(join(folder.path, 'restored'));
  await restored.rewrite('restored');
  await restored.append(['SET', 'new future', '3']);
  await cutter.begin('restore', { timeline: 1, position: left }, noon + 20_000);
  await cutter.look(restored.dir, noon + 21_000);
  expect(await at(noon + 15_000)).toMatchObject({ timeline: 1, position: old });
  expect(await replayed(await at(noon + 22_000))).toContain('new future');
  expect(await replayed(await find({ kind: 'position', position: old }))).toContain('old future');
  expect(await find({ kind: 'latest' })).toMatchObject({ timeline: 2 });
  expect(await find({ kind: 'latest' }, 1)).toMatchObject({ timeline: 1, position: old });
  // On the new timeline its past ends where it left the old one.
  const asOfNew = await findMoment({ repository, instance }, { kind: 'time', timeMs: noon + 15_000 }, { timeline: 2 });
  expect(asOfNew.position).toBe(left);
});

test('a lay-down that is killed goes on, and done twice it is the same', async () => {
  for (let i = 0; i < 40; i++) await aof.append(['SET', `key ${i}`, 'x'.repeat(300)]);
  await cutter.look(aof.dir, noon);
  const moment = await find({ kind: 'latest' });
  const whole = await replayed(moment);
  const dir = join(folder.path, 'killed');
  for (let after = 1; ; after += 7) {
    const stop = new AbortController();
    let seen = 0;
    const onProgress = () => {
      if (++seen === after) stop.abort();
    };
    const done = await layDown({ repository, instance }, moment, dir, { signal: stop.signal, onProgress }).catch(
      () => undefined,
    );
    if (done) break;
    await expect(readFile(join(dir, 'appendonlydir', 'appendonly.aof.manifest'))).rejects.toThrow(/ENOENT/);
  }
  const incr = join(dir, 'appendonlydir', 'appendonly.aof.1.incr.aof');
  expect(await readFile(incr, 'latin1')).toBe(whole);
  await layDown({ repository, instance }, moment, dir, io);
  expect(await readFile(incr, 'latin1')).toBe(whole);
});
