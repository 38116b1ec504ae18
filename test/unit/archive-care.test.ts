import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compactHours } from '../../archive/compact-hours.ts';
import { pinLastsMs } from '../../archive/loss/loss-record.ts';
import { pruneMoments } from '../../archive/prune-moments.ts';
import { findMoment, type MomentAsked } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import { listArchive } from '../../archive/read/listing.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { ArchiveCutter } from '../support/archive-cutter.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';
import { storedAt, WrittenAof } from '../support/written-aof.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
const hour = 3_600_000;
const start = Math.floor(Date.parse('2026-11-20T00:00:00Z') / hour) * hour;
const instance = 'orders';

let folder: TemporaryFolder;
let repository: Repository;
let cutter: ArchiveCutter;
/** Where each hour ended, and each rewrite began. */
let ends: number[];
let bases: number[];

/** Six hours of writes, with a rewrite before each second one. */
beforeEach(async () => {
  folder = await temporaryFolder('archive-care');
  repository = await openRepository({ url: `file://${folder.path}/repository` });
  cutter = new ArchiveCutter(repository, { instance, segmentBytes: () => 100 });
  const aof = new WrittenAof(join(folder.path, 'aof'));
  await cutter.begin('first', undefined, start);
  const known = new Set<string>();
  ends = [];
  bases = [];
  for (let i = 0; i < 6; i++) {
    if (i % 2 === 0) {
      bases.push(cutter.position);
      await aof.rewrite(`base ${i}`);
    }
    for (let n = 0; n < 12; n++) await aof.append(['SET', `key ${i} ${n}`, 'value\r\n*1\r\n']);
    const at = start + i * hour + hour / 2;
    await cutter.look(aof.dir, at);
    await storedAt(`${folder.path}/repository`, instance, 1, known, at);
    ends.push(cutter.position);
  }
});
afterEach(() => folder.remove());

const find = (asked: MomentAsked) => findMoment({ repository, instance }, asked);
const names = async () => (await listArchive(repository, instance)).get(1)!;

/** SHA-256 of what a moment's files hold. */
async function bytesAt(position: number): Promise<string> {
  const moment = await find({ kind: 'position', position });
  const dir = join(folder.path, `laid-${position}`);
  const { replayBytes } = await layDown({ repository, instance }, moment, dir, io);
  const incr = await readFile(join(dir, 'appendonlydir', 'appendonly.aof.1.incr.aof'));
  const base = await readFile(join(dir, 'appendonlydir', 'appendonly.aof.1.base.rdb'));
  await rm(dir, { recursive: true });
  expect(incr.length).toBe(replayBytes);
  return createHash('sha256').update(base).update('|').update(incr).digest('hex');
}

/** The repository, ended at the nth change to it, as by kill -9. */
function killedAt(changes: number): Repository {
  let left = changes;
  return new Proxy(repository, {
    get(target, name) {
      const call = Reflect.get(target, name) as (...args: unknown[]) => unknown;
      if (typeof call !== 'function') return call;
      return (...args: unknown[]) => {
        if (/^(put|remove)/.test(String(name)) && left-- <= 0) return Promise.reject(new Error('killed'));
        return call.apply(target, args);
      };
    },
  });
}

describe('closed hours', () => {
  const later = start + 24 * hour;

  test('become objects without a moment that changes, also where it is done in steps that are killed', async () => {
    const moments = [...new Set([...ends, ...cutter.units.filter((_, i) => i % 7 === 0).map((unit) => unit.start)])];
    const before = await Promise.all(moments.map(bytesAt));
    const singles = (await names()).segments.length;
    let killed = 0;
    for (let changes = 1; changes < 100; changes++) {
      const place = { repository: killedAt(changes), instance };
      const run = await compactHours(place, io, { now: later, keepSegmentsMs: 0 }).catch((error: Error) => error);
      expect(await bytesAt(moments[changes % moments.length]!)).toBe(before[changes % moments.length]);
      if (!(run instanceof Error) && run.hours === 0 && run.removed === 0) break;
      if (run instanceof Error) killed += 1;
    }
    expect(killed).toBeGreaterThan(3);
    const now = await names();
    expect(now.hours).toHaveLength(6);
    // The last one stays: whoever follows the file goes on from it.
    expect(now.segments).toHaveLength(1);
    expect(singles).toBeGreaterThan(20);
    expect(await Promise.all(moments.map(bytesAt))).toEqual(before);
  });

  test('are left alone while they are young, and their segments while somebody may read them', async () => {
    const place = { repository, instance };
    const young = await compactHours(place, io, { now: start + 2 * hour });
    expect(young.hours).toBe(1);
    expect((await compactHours(place, io, { now: start + 2 * hour })).removed).toBe(0);
    expect((await compactHours(place, io, { now: start + 4 * hour })).removed).toBeGreaterThan(0);
  });
});

describe('what is older than every moment that is kept', () => {
  const refused = async (position: number) => {
    const error = await find({ kind: 'position', position }).catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(RewindError);
    expect((error as RewindError).code).toBe('ARCHIVE_MOMENT_IN_GAP');
  };

  test.each(['as it was shipped', 'compacted'])('keeps its bases and loses what lies between them, %s', async (how) => {
    const place = { repository, instance };
    if (how === 'compacted') await compactHours(place, io, { now: start + 24 * hour, keepSegmentsMs: 0 });
    const kept = [...bases, ends[4]!, ends[5]!];
    const before = await Promise.all(kept.map(bytesAt));
    // Bases are as old as the hour that they began.
    const keepFrom = start + 4 * hour + hour / 2;
    for (let changes = 1; changes < 100; changes++) {
      const run = await pruneMoments({ repository: killedAt(changes), instance }, keepFrom, io).catch(() => undefined);
      expect(await Promise.all(kept.map(bytesAt))).toEqual(before);
      if (run && run.hours + run.segments === 0) break;
    }
    await refused(ends[0]! - 1);
    await refused(ends[3]! - 1);
    const byTime = await find({ kind: 'time', timeMs: start + 1.2 * hour }).catch((error: RewindError) => error.code);
    expect(byTime).toBe('ARCHIVE_MOMENT_IN_GAP');
    const { segments, hours } = await names();
    expect(segments.every((segment) => segment.start >= bases[2]!)).toBe(true);
    expect(hours.every((each) => each.end > bases[2]!)).toBe(true);
  });

  test.each(['as it was shipped', 'compacted'])(
    'never what a pinned moment is replayed from, %s, until the pin is released or too old',
    async (how) => {
      const [pinned, other] = [ends[0]! - 40, ends[2]! - 40];
      const place = { repository, instance };
      const now = start + 24 * hour;
      const prune = (at = now) => pruneMoments(place, start + 20 * hour, io, at);
      if (how === 'compacted') await compactHours(place, io, { now, keepSegmentsMs: 0 });
      const expected = await Promise.all([pinned, other].map(bytesAt));
      await cutter.event({ kind: 'pin', position: pinned, timeMs: start });
      await cutter.event({ kind: 'pin', position: other, timeMs: start + 3 * hour });
      await prune();
      expect(await Promise.all([pinned, other].map(bytesAt))).toEqual(expected);
      // A release of an earlier pin at the same place releases no later one.
      await cutter.event({ kind: 'release', position: other, timeMs: start + 2 * hour });
      await cutter.event({ kind: 'release', position: pinned, timeMs: start + 10 * hour });
      await prune();
      await refused(pinned);
      expect(await bytesAt(other)).toBe(expected[1]);
      await prune(start + 3 * hour + pinLastsMs - 1);
      expect(await bytesAt(other)).toBe(expected[1]);
      await prune(start + 3 * hour + pinLastsMs);
      await refused(other);
    },
  );
});
