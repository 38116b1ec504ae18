import { describe, expect, test } from 'vitest';
import { type PlanInputs, planRestore } from '../../restore/plan-restore.ts';
import { parseRestoreInput } from '../../restore/restore-request.ts';
import type { TargetFacts } from '../../restore/target-facts.ts';

const target: TargetFacts = {
  address: '127.0.0.1:6379',
  server: { name: 'redis', version: '7.0.15', runId: 'r' },
  mode: 'standalone',
  role: 'primary',
  failover: 'no-failover',
  replicas: [],
  replicationId: 'a'.repeat(40),
  identity: 'same',
  loading: false,
  keys: 100,
  keysByDatabase: { '0': 90, '3': 10 },
  databases: 16,
  usedMemoryBytes: 50e6,
  maxMemoryBytes: 0,
  evicts: false,
  freeMemoryBytes: 8e9,
  aof: false,
  protoMaxBulkLenBytes: 512 * 1024 * 1024,
  modules: [],
  functionLibraries: 0,
  timeMs: 1_790_000_000_000,
};
const point: PlanInputs['point'] = {
  id: '20261123T205000Z-1f3a9c04',
  time: '2026-11-23T20:50:01.000Z',
  state: 'verified',
  dumpKey: 'daily/orders/x/dump.rdb',
  sizeBytes: 400e6,
  sha256: 'f'.repeat(64),
  keys: 2_000_000,
  keysByDatabase: { '0': 2_000_000 },
  server: { name: 'redis', version: '7.0.15' },
  rdb: { magic: 'REDIS', version: 10 },
  modules: [],
  functionLibraries: 0,
  passedOver: [],
};
const staged: NonNullable<PlanInputs['staged']> = {
  selected: { keys: 2_000_000, expired: 0 },
  largestValueBytes: 1e6,
  largestKeyOffset: 9,
  usedMemoryBytes: 900e6,
  undecodable: [],
  cannotSay: [],
};
const plan = (input: object, more: Partial<PlanInputs> = {}) =>
  planRestore({
    request: parseRestoreInput({ instance: 'orders', into: 'live', ...input }),
    point,
    staged,
    target,
    ...more,
  });

test.each([
  ['graphdata', 'graph'],
  ['ReJSON-RL', 'ReJSON'],
  ['MBbloom--', 'bf'],
  ['TSDB-TYPE', 'timeseries'],
  ['ft_index0', 'search'],
  ['helloType', 'hellotype'],
])('data of the module type %s is put where the module %s is loaded, and refused elsewhere', (type, module) => {
  const of = (modules: string[]) =>
    plan({}, { point: { ...point, modules: [type] }, target: { ...target, modules } }).refusals;
  expect(of([module])).toEqual([]);
  expect(of(['another']).join()).toContain(type);
});

test('that fields of hashes keep their times where those of keys are moved or dropped is told', () => {
  const fields = { staged: { ...staged, hashesWithFieldExpiries: 12 } };
  for (const ttl of ['shift', 'drop']) {
    expect(plan({ ttl }, fields).tells.join()).toContain('12 hashes have fields that expire by themselves');
    expect(plan({ ttl }).tells).toEqual([]);
  }
  expect(plan({}, fields).tells).toEqual([]);
});

test('that a dump which is loaded whole keeps every time is told', () => {
  for (const more of [{ into: 'sandbox' }, { into: '/srv/restore' }, { onConflict: 'replace-all' }]) {
    expect(plan({ ...more, ttl: 'shift' }).tells.join()).toContain('--ttl shift does nothing here');
    expect(plan(more).tells).toEqual([]);
  }
});

describe('the way that is chosen', () => {
  test('live keys are kept and nothing is lost: no person has to be asked', () => {
    expect(plan({})).toMatchObject({ way: 'slices', destructive: false, loses: [], refusals: [], liveKeys: 100 });
  });

  test('what is live now may go: a person has to be asked', () => {
    expect(plan({ onConflict: 'take-backup' })).toMatchObject({ way: 'slices', destructive: true });
    expect(plan({ onConflict: 'replace-all' })).toMatchObject({
      way: 'as-primary',
      destructive: true,
      loses: ['all 100 keys that are live now go, written since the backup or not'],
    });
  });

  test('an empty server has nothing to lose', () => {
    const empty = { ...target, keys: 0, keysByDatabase: {} };
    expect(plan({ onConflict: 'replace-all' }, { target: empty }).destructive).toBe(false);
  });

  test('only the keys of the database that is meant count', () => {
    expect(plan({ db: 3, onConflict: 'take-backup' }).liveKeys).toBe(10);
    expect(plan({ db: 5, onConflict: 'take-backup' }).destructive).toBe(false);
  });

  test('a folder and a sandbox touch no server', () => {
    expect(plan({ into: '/var/restore' }, { target: undefined })).toMatchObject({ way: 'files', destructive: false });
    expect(plan({ into: undefined }, { target: undefined })).toMatchObject({ way: 'sandbox', refusals: [] });
  });

  test('an older server, or the other fork, is told in commands, or the plan says what it cannot be told', () => {
    const older = { ...target, server: { name: 'redis', version: '6.2.14', runId: 'r' } } as const;
    expect(plan({}, { target: older })).toMatchObject({ way: 'commands', refusals: [] });
    const unsaid = { ...staged, cannotSay: ['2 libraries cannot be loaded.'] };
    expect(plan({}, { target: older, staged: unsaid }).refusals).toEqual(['2 libraries cannot be loaded.']);
  });

  test('values that cannot be sliced go by the native way where nothing is lost by it', () => {
    const arrays = { ...staged, undecodable: ['array'] };
    const empty = { ...target, keys: 0, keysByDatabase: {} };
    expect(plan({}, { staged: arrays, target: empty }).way).toBe('as-primary');
    expect(plan({}, { staged: arrays }).refusals).toEqual([expect.stringContaining('cannot be sliced out (array)')]);
  });
});

describe('refused before anything is touched', () => {
  const refused = (more: Partial<TargetFacts>, input: object = {}) =>
    plan(input, { target: { ...target, ...more } }).refusals;

  test.each([
    ['a replica', { role: 'replica', primary: '10.0.0.5:6379' } as const, /is a replica of 10\.0\.0\.5:6379/],
    ['a cluster node', { mode: 'cluster' } as const, /node of a Redis Cluster/],
    ['a Sentinel', { mode: 'sentinel' } as const, /is a Sentinel/],
    ['a failover that runs', { failover: 'waiting-for-sync' }, /failover is running/],
    ['a server that loads', { loading: true }, /still loading/],
    ['another server under the name', { identity: 'refuse' } as const, /rewind adopt orders/],
    ['too little maxmemory', { maxMemoryBytes: 500e6 }, /maxmemory is 500000000/],
    ['too little memory on the machine', { freeMemoryBytes: 100e6 }, /has 100000000 left/],
    ['a value over proto-max-bulk-len', { protoMaxBulkLenBytes: 1000 }, /at byte 9 of the dump.*replace-all/],
    ['too few databases', { databases: 0 }, /keys in database 0/],
  ])('%s', (_name, more, sentence) => {
    expect(refused(more).join('\n')).toMatch(sentence);
  });

  test('a module that the target has not loaded', () => {
    const withModule = { ...point, modules: ['ReJSON-RL', 'MBbloom--'] };
    const missing = plan({}, { point: withModule }).refusals;
    expect(missing).toEqual(['The target has not loaded the modules of the dump: ReJSON-RL, MBbloom--.']);
    const loaded = { ...target, modules: ['ReJSON', 'bf'] };
    expect(plan({}, { point: withModule, target: loaded }).refusals).toEqual([]);
  });
});

test('a small selection needs little memory and little time', () => {
  const few = { ...staged, selected: { keys: 2_000, expired: 0 } };
  const small = { ...target, maxMemoryBytes: 60e6 };
  expect(plan({ match: 'user:*' }, { staged: few, target: small }).refusals).toEqual([]);
  expect(plan({ match: 'user:*' }, { staged: few }).seconds).toBe(1);
  expect(plan({}).seconds).toBe(10);
});

describe('what was asked for', () => {
  test('only the instance is needed, and the rest changes least', () => {
    expect(parseRestoreInput({ instance: 'orders' })).toEqual({
      instance: 'orders',
      to: 'latest',
      into: { kind: 'sandbox' },
      onConflict: 'keep-live',
      selection: {},
      ttl: 'keep',
      compare: 'after',
    });
    expect(parseRestoreInput({ instance: 'a', into: 'instance:b' }).into).toEqual({ kind: 'instance', name: 'b' });
    expect(parseRestoreInput({ instance: 'a', into: '/srv/r/' }).into).toEqual({ kind: 'dir', path: '/srv/r' });
  });

  test.each([
    ['into', { into: 'relative/folder' }],
    ['into', { into: '/srv/../etc' }],
    ['into', { into: '/' }],
    ['into', { into: 'instance:../x' }],
    ['onConflict', { onConflict: 'overwrite' }],
    ['ttl', { ttl: 'forever' }],
    ['db', { db: -1 }],
    ['db', { db: 1.5 }],
    ['match', { match: '' }],
    ['to', { to: '' }],
    ['to', { to: 'yesterday' }],
    ['to', { to: '20261123T205000Z' }],
    ['compare', { compare: 'never' }],
  ])('%s is refused with what is accepted: %o', (field, input) => {
    expect(() => parseRestoreInput({ instance: 'a', ...input })).toThrow(
      expect.objectContaining({ code: 'RESTORE_INPUT_INVALID', message: expect.stringContaining(`${field} is not`) }),
    );
  });
});
