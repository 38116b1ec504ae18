import { describe, expect, test } from 'vitest';
import { statusOf, wantsAttention } from '../../cli/status/instance-status.ts';
import { parseConfig } from '../../config/load.ts';
import { policyOf } from '../../policy/instance-policy.ts';
import type { CataloguedBackup } from '../../repository/catalogue.ts';

const now = new Date('2026-11-23T12:00:00Z');
const policy = { objectives: { rtoSeconds: 600, rpoSeconds: 3_600 } };

function backup(ago: number, change: Partial<CataloguedBackup> = {}, proofMs?: number): CataloguedBackup {
  const time = new Date(now.getTime() - ago * 1000).toISOString();
  const proof = proofMs && { downloadMs: 1_000, loadMs: proofMs - 1_000, server: { name: 'redis', version: '7.0.15' } };
  return {
    id: `id-${ago}`,
    time,
    tier: 'hourly',
    sizeBytes: 10,
    keys: 3,
    state: 'verified',
    name: { instance: 'orders', tier: 'hourly', backupId: `id-${ago}` },
    directory: 'hourly/orders/',
    ...(proof ? { manifest: { proof } as never } : {}),
    ...change,
  };
}

test('a loss that nobody has closed wants attention, whatever else is well', () => {
  const loss = {
    ...{ time: '2026-11-23T11:00:00.000Z', kind: 'flush', what: 'FLUSHALL took 3 keys of database 0.', keysLost: 3 },
    ...{ lastGood: { timeline: 1, offset: 214 }, command: 'rewind runbook accidental-flush orders' },
  };
  const status = statusOf(policy, [backup(600)], [], now, [], [], undefined, [loss]);
  expect(status.losses).toEqual([loss]);
  expect(wantsAttention(status)).toBe(true);
  expect(wantsAttention(statusOf(policy, [backup(600)], [], now))).toBe(false);
});

test('an archive whose run was refused is stuck, and wants attention however young the last backup is', () => {
  const run = { workflowId: 'ship-aof/orders', runId: 'r', type: 'shipAof', startedAt: now.toISOString(), steps: [] };
  const statusIn = (phase: string) =>
    statusOf(policy, [backup(600)], [{ ...run, phase }], now, [], [], { running: true });
  expect(statusIn('stuck').archive).toEqual({ state: 'stuck' });
  expect(wantsAttention(statusIn('stuck'))).toBe(true);
  expect(statusIn('archiving').archive).toEqual({ state: 'silent' });
  expect(wantsAttention(statusIn('archiving'))).toBe(false);
});

describe('RPO now', () => {
  test('is the age of the last verified backup, from the start of its save', () => {
    const status = statusOf(policy, [backup(600), backup(7_200)], [], now);
    expect(status.rpo).toEqual({ seconds: 600, objectiveSeconds: 3_600, met: true });
    expect(wantsAttention(status)).toBe(false);
  });

  test.each(['unproven', 'failed', 'expired'] as const)('is not made younger by a backup that is %s', (state) => {
    const status = statusOf(policy, [backup(60, { state }), backup(7_200)], [], now);
    expect(status.rpo).toEqual({ seconds: 7_200, objectiveSeconds: 3_600, met: false });
    expect(status.lastBackup).toMatchObject({ id: 'id-60', state });
    expect(wantsAttention(status)).toBe(true);
  });

  test('a moment that was made of the archive for a restore is not the last backup, and wants no attention', () => {
    const moment = { moment: { timeline: 1, position: 5 } } as CataloguedBackup['manifest'];
    const status = statusOf(
      policy,
      [{ ...backup(60, { flagged: 'as of then' }), manifest: moment }, backup(600)],
      [],
      now,
    );
    expect(status.lastBackup).toMatchObject({ id: 'id-600' });
    expect(wantsAttention(status)).toBe(false);
  });

  test('is met at the objective itself and missed a second later', () => {
    expect(statusOf(policy, [backup(3_600)], [], now).rpo.met).toBe(true);
    expect(statusOf(policy, [backup(3_601)], [], now).rpo.met).toBe(false);
  });

  test('is met through a whole cycle of the schedule, also while the next backup is being proven', () => {
    const { objectives } = policyOf(
      parseConfig('instances: { orders: { url: redis://h, dataClass: job-queue } }', {
        name: 'rewind.yaml',
        folder: '/',
        home: '/',
      }),
      'orders',
    );
    const met = (ago: number) => statusOf({ objectives }, [backup(ago)], [], now).rpo.met;
    expect(met(3_600 + 120 + 300)).toBe(true);
    expect(met(3_600 + 900)).toBe(false);
  });

  test('has no figure and is not met where nothing is proven', () => {
    const status = statusOf(policy, [], [], now);
    expect(status.rpo).toEqual({ objectiveSeconds: 3_600, met: false });
    expect(status).not.toHaveProperty('lastBackup');
    expect(wantsAttention(status)).toBe(true);
  });

  test('is met whatever it is where there is no objective, as for a cache', () => {
    const status = statusOf({ objectives: { rtoSeconds: 60 } }, [], [], now);
    expect(status.rpo).toEqual({ met: true });
    expect(wantsAttention(status)).toBe(false);
  });

  test('is never negative, also when Redis’ clock is ahead', () => {
    expect(statusOf(policy, [backup(-30)], [], now).rpo.seconds).toBe(0);
  });
});

describe('RTO last measured', () => {
  test('is what the last proof took to download and load, and absent where none was measured', () => {
    expect(statusOf(policy, [backup(60, {}, 90_500)], [], now).rto).toEqual({
      seconds: 91,
      objectiveSeconds: 600,
      met: true,
    });
    expect(statusOf(policy, [backup(60)], [], now)).not.toHaveProperty('rto');
  });

  test('is taken from a verified backup only', () => {
    const backups = [backup(60, { state: 'failed' }, 5_000), backup(120, {}, 700_000)];
    const status = statusOf(policy, backups, [], now);
    expect(status.rto).toEqual({ seconds: 700, objectiveSeconds: 600, met: false });
    expect(wantsAttention(status)).toBe(true);
  });
});

test('a flagged backup wants attention: it may be the disaster itself', () => {
  const status = statusOf(policy, [backup(60, { flagged: 'the dataset is empty' })], [], now);
  expect(status.rpo.met).toBe(true);
  expect(wantsAttention(status)).toBe(true);
});

test('a fence wants attention, whoever holds it: the application cannot write', () => {
  const fence = { fenceId: '7d0f', since: now.toISOString(), ownerRuns: true, command: 'rewind unfence orders' };
  const status = statusOf(policy, [backup(60)], [], now, [], [fence]);
  expect(status.fences).toEqual([fence]);
  expect(wantsAttention(status)).toBe(true);
});

test('the document carries what INTERFACE names and nothing of where objects lie', () => {
  const status = JSON.parse(JSON.stringify(statusOf(policy, [backup(60, {}, 2_000)], [], now)));
  expect(Object.keys(status).sort()).toEqual(
    ['fences', 'lastBackup', 'lastVerified', 'rpo', 'rto', 'running', 'waiting'].sort(),
  );
  expect(Object.keys(status.lastBackup).sort()).toEqual(['id', 'keys', 'sizeBytes', 'state', 'tier', 'time']);
});
