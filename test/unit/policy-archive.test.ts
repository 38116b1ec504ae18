import { expect, test } from 'vitest';
import { planOf } from '../../cli/plan/deployment-plan.ts';
import { instanceLines } from '../../cli/plan/instance-text.ts';
import { parseConfig } from '../../config/load.ts';
import { policyOf } from '../../policy/instance-policy.ts';

const configured = (settings: object) =>
  parseConfig(
    JSON.stringify({
      repository: { url: 's3://backups/redis' },
      instances: { orders: { url: 'redis://127.0.0.1:6379', ...settings } },
    }),
    { name: 'rewind.yaml', folder: '/', home: '/' },
  );
const archiveOf = (settings: object) => policyOf(configured(settings), 'orders').archive;

test('an archive is on for an audit log, off for others, and as it is written where it is written', () => {
  expect(archiveOf({ dataClass: 'audit-log' })).toMatchObject({ segmentBytes: 4 * 1024 ** 2, segmentMs: 3_000 });
  expect(archiveOf({ dataClass: 'audit-log', archive: false })).toBeUndefined();
  expect(archiveOf({ dataClass: 'job-queue' })).toBeUndefined();
  expect(archiveOf({ dataClass: 'job-queue', archive: true })).toMatchObject({ spoolBytes: 2 * 1024 ** 3 });
  expect(archiveOf({ archive: { segmentEvery: '500ms', spool: '10mb' } })).toMatchObject({
    segmentMs: 500,
    spoolBytes: 10 * 1024 ** 2,
    keepMomentsSeconds: 30 * 86_400,
  });
});

test('segments are cut more often where little may be lost', () => {
  expect(archiveOf({ dataClass: 'audit-log', objectives: { rpo: '4s' } })?.segmentMs).toBe(1_000);
  expect(archiveOf({ dataClass: 'audit-log', objectives: { rpo: '1h' } })?.segmentMs).toBe(3_000);
});

test('a cache has none, and says why', () => {
  expect(archiveOf({ dataClass: 'cache' })).toBeUndefined();
  expect(() => archiveOf({ dataClass: 'cache', archive: true })).toThrow(/archive.*filled again from its source/);
});

test('plan says what an archive asks of the store in a month, with what that rests on', () => {
  const plan = planOf({ ...configured({ dataClass: 'audit-log' }), source: 'file' }, new Date('2026-11-24T00:00:00Z'));
  const [orders] = Object.values(plan.instances);
  expect(orders?.archive?.month).toMatchObject({ segments: 864_000 });
  expect(instanceLines('orders', orders!).join('\n').replace(/\s+/g, ' ')).toMatch(
    /a segment every 3 s or .* Where writes never stop: 0\.95 million PUT and LIST, 1\.73 million GET and HEAD a month, 5\.45 USD/,
  );
});
