import { expect, test } from 'vitest';
import { planOf } from '../../cli/plan/deployment-plan.ts';
import { planText } from '../../cli/plan.ts';
import { parseConfig } from '../../config/load.ts';
import { wantedSchedules } from '../../schedules/wanted.ts';

const now = new Date('2026-11-23T21:30:00Z');
const config = {
  ...parseConfig(
    JSON.stringify({
      repository: { url: 's3://backups/redis', encryption: { sse: 'aws:kms', kmsKeyId: 'alias/redis' } },
      instances: {
        orders: {
          url: 'redis://rewind@10.0.0.5:6379',
          dataClass: 'audit-log',
          archive: false,
          host: {},
          drill: { every: '30d' },
        },
        sessions: { url: 'rediss://sessions.internal', backup: { cron: '30 2 * * *' } },
        pages: { url: 'unix:///run/redis.sock', dataClass: 'cache' },
        managed: { managed: { provider: 'elasticache' } },
      },
    }),
    { name: 'rewind.yaml', folder: '/', home: '/' },
  ),
  source: 'file' as const,
};
const temporal = { address: 'temporal.internal:7233', namespace: 'default' };

test('the plan says of each instance that is in force how it is saved, when, and what is promised', () => {
  const { instances, repository, notInForce } = planOf(config, now);
  expect(Object.keys(instances)).toEqual(['orders', 'sessions', 'pages']);
  expect(instances.orders).toEqual({
    address: '10.0.0.5:6379',
    dataClass: 'audit-log',
    strategy: 'restored from the last backup and what was written after it',
    source: 'dump-file',
    from: 'primary',
    taskQueue: 'rewind-host-orders',
    schedule: {
      inWords: 'every 1h',
      jitterSeconds: 120,
      next: ['2026-11-23T22:00:00.000Z', '2026-11-23T23:00:00.000Z', '2026-11-24T00:00:00.000Z'],
      intervalSeconds: 3_600,
      runSeconds: 360,
      oldestSeconds: 4_080,
    },
    objectives: { rtoSeconds: 1_800, rpoSeconds: 60 },
  });
  expect(instances.sessions).toMatchObject({ source: 'replication', taskQueue: 'rewind' });
  expect(instances.pages).not.toHaveProperty('schedule');
  expect(repository).toEqual({ url: 's3://backups/redis', encryption: { sse: 'aws:kms', kmsKeyId: 'alias/redis' } });
  expect(notInForce).toContain('not in force in this version: instances.orders.drill');
});

test('no user name and no secret stands in the plan', () => {
  expect(JSON.stringify(planOf(config, now))).not.toContain('rewind@');
});

test('its text fits 80 columns, marks removals and an objective that the schedule cannot meet', () => {
  const [orders] = wantedSchedules(config);
  if (!orders) throw new Error('no schedule');
  const changes = [
    { change: 'create', wanted: orders },
    { change: 'keep', wanted: orders, paused: 'moving the rack' },
    { change: 'remove', id: 'backup/old' },
    { change: 'foreign', wanted: orders, owner: 'rewind-other' },
  ] as const;
  const text = planText(planOf(config, now), { changes, close: async () => undefined }, temporal);
  expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
  expect(text).toContain('  encryption   aws:kms under alias/redis');
  const words = text.replaceAll(/\s+/g, ' ');
  expect(words).toContain(
    'NOT MET by this schedule: the last proven backup may become 1 h 8 min old (1 h between two, 2 min of jitter, 6 min for a run). Take them more often: instances.orders.backup.every',
  );
  expect(words).toContain(
    'at most 1 d 1 h of writes are lost (RPO) the last proven backup may become 1 d 1 h old (1 d between two, 2 min of jitter, 1 h for a run).',
  );
  expect(text).toContain('  create       backup/orders, every 1h');
  expect(text).toContain('PAUSED: moving the rack');
  expect(text).toMatch(/^ {2}REMOVE +backup\/old: /m);
  expect(text).toMatch(/^ {2}REFUSE +backup\/orders: it belongs to rewind-other$/m);
  expect(text).toContain('none: no backup is taken by itself');
  expect(text).toContain('not in force in this version: instances.orders.drill');
});

test('with Temporal down the plan still says what is meant, and that the rest is not known', () => {
  const unknown = 'Temporal at temporal.internal:7233 cannot be reached; what apply would change is not known';
  const text = planText(planOf(config, now), { unknown, changes: [], close: async () => undefined }, temporal);
  expect(text).toContain('next (UTC): 2026-11-23 22:00');
  expect(text.replaceAll(/\s+/g, ' ')).toContain(unknown);
  expect(text).not.toContain('none\n');
});
