import { describe, expect, test } from 'vitest';
import type { Moment } from '../../archive/read/moment.ts';
import type { ArchivedState } from '../../incident/corruption/archived-state.ts';
import { choicesOf } from '../../incident/corruption/choices.ts';
import type { Diagnosis, FileDiagnosis } from '../../incident/corruption/diagnosis.ts';
import type { BackupEntry } from '../../repository/catalogue.ts';

const now = new Date('2026-11-24T12:00:00Z');

function file(more: Partial<FileDiagnosis>): FileDiagnosis {
  const whole = {
    state: 'whole',
    damages: [],
    before: {},
    after: {},
    lost: [],
    serverWould: 'load',
    notes: [],
  } as const;
  return { path: 'dump.rdb', role: 'dump', sizeBytes: 1000, ...whole, ...more };
}

function diagnosis(form: Diagnosis['form'], files: FileDiagnosis[], besides: FileDiagnosis[] = []): Diagnosis {
  return { form, files, besides, damaged: true, serverWould: 'refuse', text: '' };
}

function backup(time: string, more: Partial<BackupEntry> = {}): BackupEntry {
  const id = `${time.replace(/[-:]/g, '')}-0a0a0a0a`;
  return { id, time, tier: 'hourly', sizeBytes: 1, keys: 1000, state: 'verified', ...more };
}

const damage = { offset: 500, code: 'RDB_CORRUPT', what: 'damaged' };

const dump = (keys: [number, number], more: Partial<FileDiagnosis> = {}) =>
  diagnosis('rdb', [
    file({
      state: 'damaged',
      damage,
      damages: [damage],
      before: { keys: keys[0] },
      after: { keys: keys[1] },
      keysExpected: 1000,
      savedAt: '2026-11-24T11:50:00Z',
      ...more,
    }),
  ]);

const idsOf = (of: Diagnosis, entries: BackupEntry[] = []) => choicesOf(of, entries, now).map(({ id }) => id);

describe('the ways out of a damaged dump', () => {
  test('say what each loses in keys and in seconds', () => {
    const [salvage, older] = choicesOf(dump([600, 399]), [backup('2026-11-24T06:00:00Z')], now);
    expect(salvage).toMatchObject({ id: 'salvage', keys: 999, losesKeys: 1, losesSeconds: 600 });
    expect(salvage!.loses).toContain('1 of 1000 keys');
    expect(older).toMatchObject({ keys: 1000, losesSeconds: 6 * 3600 });
  });

  test('put the one first that loses least: few keys against hours, many keys not', () => {
    const entries = [backup('2026-11-24T11:00:00Z')];
    expect(idsOf(dump([600, 399]), entries)[0]).toBe('salvage');
    expect(idsOf(dump([100, 0]), entries)[0]).toBe(`backup:${entries[0]!.id}`);
  });

  test('of a dump of which nothing can be read are the backups alone', () => {
    expect(idsOf(dump([0, 0]))).toEqual([]);
    expect(idsOf(dump([0, 0]), [backup('2026-11-24T06:00:00Z')])).toHaveLength(1);
  });

  test('do not count what the dump does not say', () => {
    const [salvage] = choicesOf(dump([5, 5], { keysExpected: undefined, savedAt: undefined }), [], now);
    expect(salvage!.losesKeys).toBeUndefined();
    expect(salvage!.losesSeconds).toBeUndefined();
    expect(salvage!.loses).toContain('nobody can count');
  });
});

describe('the backups among them', () => {
  test('the newest proven one is always there, failed and expired ones never', () => {
    const entries = [
      backup('2026-11-24T10:00:00Z', { state: 'failed' }),
      backup('2026-11-24T09:00:00Z', { state: 'expired' }),
      backup('2026-11-24T07:00:00Z'),
      backup('2026-11-24T08:00:00Z'),
    ];
    expect(idsOf(dump([0, 0]), entries)).toEqual([`backup:${entries[3]!.id}`]);
  });

  test('one that is not proven, or flagged, is there only where it is newer, and says so', () => {
    const entries = [
      backup('2026-11-24T11:00:00Z', { flagged: 'taken while an incident was open', keys: 3 }),
      backup('2026-11-24T10:00:00Z', { state: 'unproven', reason: 'the sandbox was away' }),
      backup('2026-11-24T09:00:00Z'),
      backup('2026-11-24T08:00:00Z', { state: 'unproven' }),
      backup('2026-11-24T07:00:00Z', { flagged: 'older' }),
    ];
    const choices = choicesOf(dump([0, 0]), entries, now);
    expect(choices.map(({ id }) => id)).toEqual(entries.slice(0, 3).map(({ id }) => `backup:${id}`));
    expect(choices[0]!.unknown.join()).toContain('taken while an incident was open');
    expect(choices[1]!.unknown.join()).toContain('the sandbox was away');
    expect(choices[2]!.unknown).toEqual([]);
    expect(choices[0]!.loses).toContain('997 keys fewer');
  });

  test('are not changed by the order in which they are given', () => {
    const entries = [backup('2026-11-24T07:00:00Z'), backup('2026-11-24T08:00:00Z')];
    expect(idsOf(dump([5, 5]), entries)).toEqual(idsOf(dump([5, 5]), [...entries].reverse()));
  });
});

describe('the ways out of damaged append-only files', () => {
  const manifest = file({ path: 'd/m', role: 'manifest' });
  const base = file({
    path: 'd/base',
    role: 'base',
    before: { keys: 1000, commands: 0 },
    keysExpected: 1000,
    cutAt: 900,
  });
  const incr = (more: Partial<FileDiagnosis>) =>
    file({
      path: 'd/incr',
      role: 'incr',
      before: { commands: 10 },
      after: { commands: 0 },
      modifiedAt: '2026-11-24T11:59:00Z',
      ...more,
    });
  const broken = { state: 'damaged', damage, damages: [damage], cutAt: 400, lost: [{ from: 400, to: 450 }] } as const;

  test('are the state at the damage, and all that can be read', () => {
    const hit = incr({
      ...broken,
      before: { commands: 10, newest: '2026-11-24T11:49:00Z' },
      after: { commands: 90, newest: '2026-11-24T11:58:59Z' },
    });
    const choices = choicesOf(diagnosis('aof-multi', [manifest, base, hit]), [], now);
    expect(choices).toMatchObject([
      { id: 'base-and-later', losesCommands: 0, losesSeconds: 0 },
      { id: 'aof-until-damage', losesCommands: 90, losesSeconds: 600 },
    ]);
    expect(choices[0]!.unknown.join()).toContain('INCR');
    expect(choices[0]!.loses).toContain('50 damaged bytes');
  });

  test('have no later part where nothing can be read behind the damage', () => {
    expect(idsOf(diagnosis('aof-multi', [manifest, base, incr(broken)]))).toEqual(['aof-until-damage']);
  });

  test('count the commands of later files', () => {
    const later = incr({ path: 'd/incr2', before: { commands: 7 } });
    const choices = choicesOf(diagnosis('aof-multi', [manifest, base, incr(broken), later]), [], now);
    expect(choices.map(({ id, losesCommands }) => [id, losesCommands])).toEqual([
      ['base-and-later', 0],
      ['aof-until-damage', 7],
    ]);
  });

  test('say that the time is not known where the files carry no seconds', () => {
    const choices = choicesOf(
      diagnosis('aof-multi', [manifest, base, incr({ ...broken, after: { commands: 3 } })]),
      [],
      now,
    );
    const until = choices.find(({ id }) => id === 'aof-until-damage')!;
    expect(until.losesSeconds).toBeUndefined();
    expect(until.unknown.join()).toContain('aof-timestamp-enabled');
  });

  test('with a damaged base are the salvage of its keys, never a cut at byte 0', () => {
    const hit = { ...base, ...broken, before: { keys: 400, commands: 0 }, after: { keys: 590 }, cutAt: 0 };
    const choices = choicesOf(diagnosis('aof-multi', [manifest, hit, incr({})]), [backup('2026-11-24T11:00:00Z')], now);
    expect(choices.map(({ id }) => id)).toEqual(['backup:20261124T110000Z-0a0a0a0a', 'salvage']);
    expect(choices[1]).toMatchObject({ losesKeys: 10 });
  });

  test('with the manifest gone are the dump beside it and the backups', () => {
    const gone = file({ path: 'd/m', role: 'manifest', state: 'missing' });
    const beside = file({ before: { keys: 990 }, savedAt: '2026-11-24T11:00:00Z' });
    const choices = choicesOf(diagnosis('aof-multi', [gone], [beside]), [backup('2026-11-24T06:00:00Z')], now);
    expect(choices.map(({ id }) => id)).toEqual(['dump-beside', 'backup:20261124T060000Z-0a0a0a0a']);
  });

  test('have the archive first where it loses as little as any other: in that nothing is guessed', () => {
    const hit = incr({ ...broken, before: { commands: 10 }, after: { commands: 90 } });
    const moment = { position: 5_000, timeline: 1, timeMs: Date.parse('2026-11-24T11:58:00Z') } as Moment;
    const whole: ArchivedState = { moment, tail: [], losesCommands: 0, unknown: [] };
    const of = (archived: ArchivedState) =>
      choicesOf(diagnosis('aof-multi', [manifest, base, hit]), [backup('2026-11-24T11:00:00Z')], now, archived);
    expect(of(whole)[0]).toMatchObject({ id: 'archive', loses: 'nothing', losesKeys: 0, losesSeconds: 0 });
    const cut = of({ ...whole, upTo: '2026-11-24T11:58:00.000Z', losesCommands: 7 });
    expect(cut.map(({ id }) => id)).toEqual([
      'base-and-later',
      'archive',
      'backup:20261124T110000Z-0a0a0a0a',
      'aof-until-damage',
    ]);
    expect(cut[1]).toMatchObject({ losesSeconds: 60, losesCommands: 7, loses: expect.stringContaining('(60 s)') });
  });

  test('do not offer a dump beside that is damaged itself', () => {
    expect(idsOf(diagnosis('aof-multi', [manifest, base, incr(broken)], [file({ state: 'damaged' })]))).toEqual([
      'aof-until-damage',
    ]);
  });
});
