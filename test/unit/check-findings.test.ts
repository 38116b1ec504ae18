import { describe, expect, test } from 'vitest';
import { findingsOf } from '../../check/findings-of.ts';
import {
  dump,
  failure,
  findingCases,
  mem,
  persistence,
  seenFromHere,
  withMemory,
  withPersistence,
  withProbe,
  withTemporal,
} from '../support/finding-cases.ts';
import { healthy, healthySandbox, seeing } from '../support/observed.ts';

test('an instance with nothing to find has no finding', () => {
  expect(findingsOf(healthy())).toEqual([]);
});

test.each(findingCases)(
  '%s is found, with its consequence and what mends it',
  (_, observed, code, severity, says, fix) => {
    const found = findingsOf(observed);
    expect(found.map((finding) => finding.code)).toEqual([code]);
    expect(found[0]).toMatchObject({ severity, consequence: expect.stringMatching(says) });
    if (typeof fix === 'string') expect(found[0]?.fix).toBe(fix);
    else expect(found[0]?.fix).toMatch(fix);
  },
);

describe('what is no finding', () => {
  test('an identity that only the agent could confirm is not judged from elsewhere', () => {
    expect(findingsOf(seenFromHere())).toEqual([]);
  });

  test('a stop of writes that cannot happen, because Redis does not save by itself', () => {
    expect(findingsOf(withPersistence({ savePoints: '', stopsWritesOnSaveError: true }))).toEqual([]);
  });

  test('huge pages that Redis switches off for itself', () => {
    expect(findingsOf(withMemory({ hugePages: 'always' }))).toEqual([]);
  });

  test('a sandbox beside Redis that the configuration allows', () => {
    const observed = healthy({ host: { sandbox: true } });
    expect(findingsOf({ ...observed, sandbox: { ...healthySandbox, machine: 'redis-host' } })).toEqual([]);
  });

  test('the schedule of a cache, which has none', () => {
    const observed = healthy({ host: {}, dataClass: 'cache' });
    expect(findingsOf({ ...observed, temporal: { ...observed.temporal, schedule: undefined } as never })).toEqual([]);
  });
});

test('the worst comes first, and within it the order of a backup’s way', () => {
  const observed = seeing(
    {
      redis: { persistence: { ...persistence, appendOnly: false, lastSave: 'err' }, clockSkewMs: 3_600_000 },
      host: { dump: { ...dump, freeBytes: 1 }, memory: { ...mem, overcommit: 0 } },
    },
    withTemporal({ sandbox: { queue: 'rewind-sandbox', pollers: 0 } }),
  );
  const found = findingsOf({ ...observed, probe: withProbe({ encryption: { sse: 'none' } }).probe });
  expect(found.map(({ severity, code }) => `${severity} ${code}`)).toEqual([
    'error SANDBOX_SILENT',
    'error LAST_SAVE_FAILED',
    'error DUMP_DISK_FULL',
    'warning PERSISTENCE_OFF',
    'warning CLOCK_SKEW',
    'warning STORE_NOT_ENCRYPTED',
    'info OVERCOMMIT',
  ]);
});

test('everything can be wrong at once, and each is said', () => {
  const found = findingsOf({
    ...healthy({}),
    temporal: failure('TEMPORAL_UNREACHABLE'),
    instance: failure('SECRET_MISSING'),
    probe: { written: failure('STORE_UNREACHABLE'), readings: {} },
    sandbox: failure('PART_UNAVAILABLE'),
  });
  expect(found.map(({ code }) => code)).toEqual([
    'TEMPORAL_UNREACHABLE',
    'SECRET_MISSING',
    'STORE_UNREACHABLE',
    'PART_UNAVAILABLE',
    'BY_REPLICATION',
  ]);
});
