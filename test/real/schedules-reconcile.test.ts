import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { type Client, ScheduleNotFoundError } from '@temporalio/client';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { parseConfig } from '../../config/load.ts';
import { scheduleOf } from '../../policy/schedule-spec.ts';
import { foundPart } from '../../process/found-parts.ts';
import { nextTimes } from '../../schedules/next-times.ts';
import { applySchedules, planSchedules, type ScheduleChange } from '../../schedules/reconcile.ts';
import { wantedSchedules } from '../../schedules/wanted.ts';
import { registerSearchAttributes } from '../../workers/register-search-attributes.ts';
import { connectClient } from '../../workers/temporal-connection.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';

const { address, namespace } = inject('temporal');
let client: Client;
const made = new Set<string>();

beforeAll(async () => {
  client = await connectClient({ address, namespace, embedded: true });
  await registerSearchAttributes(client);
});

afterAll(async () => {
  for (const id of made) {
    await client.schedule
      .getHandle(id)
      .delete()
      .catch(() => undefined);
  }
  await client.connection.close();
});

/** A deployment whose instances have names of their own, so that tests can share a namespace. */
function deployment() {
  const mark = randomUUID().slice(0, 8);
  const name = `rewind-${mark}`;
  const id = (instance: string) => `backup/${instance}-${mark}`;
  const wanted = (schedules: Record<string, object>) => {
    const instances = Object.entries(schedules).map(([instance, backup]) => [
      `${instance}-${mark}`,
      { url: 'redis://127.0.0.1:6379', ...('dataClass' in backup ? backup : { backup }) },
    ]);
    const text = JSON.stringify({ instances: Object.fromEntries(instances) });
    return wantedSchedules(parseConfig(text, { name: 'test', folder: '/', home: '/' }));
  };
  const plan = (schedules: Record<string, object>) => planSchedules(client, name, wanted(schedules));
  const apply = async (schedules: Record<string, object>) => {
    for (const each of wanted(schedules)) made.add(each.id);
    const changes = await plan(schedules);
    await applySchedules(client, name, changes);
    return changes;
  };
  return { name, id, plan, apply };
}

const said = (changes: readonly ScheduleChange[]) =>
  changes.map((step) => `${step.change} ${'wanted' in step ? step.wanted.id : step.id}`);

test('a first apply creates a schedule for each instance that is no cache; a second one changes nothing', async () => {
  const { id, apply, plan } = deployment();
  const configured = { orders: { every: '6h' }, sessions: { cron: '30 2 * * *' }, pages: { dataClass: 'cache' } };
  expect(said(await apply(configured))).toEqual([`create ${id('orders')}`, `create ${id('sessions')}`]);
  const before = await client.schedule.getHandle(id('orders')).describe();
  expect(said(await apply(configured))).toEqual([`keep ${id('orders')}`, `keep ${id('sessions')}`]);
  const after = await client.schedule.getHandle(id('orders')).describe();
  expect(after.info.lastUpdatedAt).toEqual(before.info.lastUpdatedAt);
  expect(said(await plan(configured))).toEqual([`keep ${id('orders')}`, `keep ${id('sessions')}`]);

  expect(before).toMatchObject({
    spec: { intervals: [{ every: 6 * 3_600_000, offset: 0 }], jitter: 120_000 },
    policies: { overlap: 'SKIP', catchupWindow: 6 * 3_600_000 },
    action: { workflowType: 'scheduledBackup', taskQueue: 'rewind', workflowId: id('orders') },
  });
});

test('the times that plan shows are those that Temporal keeps, its jitter aside', async () => {
  const { id, apply } = deployment();
  const schedules = { orders: { every: '7h' }, sessions: { cron: '15,45 3 * * 1-5' } };
  await apply(schedules);
  const seconds = (dates: readonly Date[]) => dates.map((date) => Math.round(date.getTime() / 1000));
  for (const [name, when] of [
    ['orders', { everySeconds: 7 * 3_600 }],
    ['sessions', { cron: '15,45 3 * * 1-5' }],
  ] as const) {
    const { info } = await client.schedule.getHandle(id(name)).describe();
    const planned = seconds(nextTimes(scheduleOf(when), new Date(), 3));
    const kept = seconds(info.nextActionTimes.slice(0, 3));
    expect(kept).toHaveLength(3);
    for (const [index, time] of kept.entries()) {
      expect(time).toBeGreaterThanOrEqual(planned[index] as number);
      expect(time).toBeLessThanOrEqual((planned[index] as number) + 120);
    }
  }
});

test('a changed interval updates the schedule in place and keeps a person’s pause and its note', async () => {
  const { id, apply, plan } = deployment();
  await apply({ orders: { every: '6h' } });
  const handle = client.schedule.getHandle(id('orders'));
  const before = await handle.describe();
  await handle.pause('moving the rack until Friday');
  expect(await plan({ orders: { every: '6h' } })).toMatchObject([
    { change: 'keep', paused: 'moving the rack until Friday' },
  ]);
  expect(said(await apply({ orders: { every: '2h' } }))).toEqual([`update ${id('orders')}`]);
  const after = await handle.describe();
  expect(after.spec.intervals).toEqual([{ every: 2 * 3_600_000, offset: 0 }]);
  expect(after.state).toMatchObject({ paused: true, note: 'moving the rack until Friday' });
  expect(after.info.createdAt).toEqual(before.info.createdAt);
  expect(said(await plan({ orders: { every: '2h' } }))).toEqual([`keep ${id('orders')}`]);
});

test('an edit made by hand is put back to what the configuration says', async () => {
  const { id, apply } = deployment();
  await apply({ orders: { every: '6h' } });
  const handle = client.schedule.getHandle(id('orders'));
  const by = ['--interval', '99h', '--type', 'other', '--task-queue', 'theirs'];
  await temporal('schedule', 'update', '--schedule-id', id('orders'), ...by);
  expect(said(await apply({ orders: { every: '6h' } }))).toEqual([`update ${id('orders')}`]);
  expect((await handle.describe()).action).toMatchObject({ workflowType: 'scheduledBackup' });
  // As the web interface does it: all the rest stays.
  await handle.update((schedule) => ({ ...schedule, spec: { intervals: [{ every: '99h' }] } }));
  expect(said(await apply({ orders: { every: '6h' } }))).toEqual([`update ${id('orders')}`]);
  expect((await handle.describe()).spec.intervals).toEqual([{ every: 6 * 3_600_000, offset: 0 }]);
});

test('an instance that leaves the configuration loses its schedule, and nothing else does', async () => {
  const { id, apply, plan } = deployment();
  await apply({ orders: { every: '6h' }, sessions: { every: '6h' } });
  const onlyOrders = { orders: { every: '6h' } };
  // The list that removals are found in may be a moment behind.
  await expect
    .poll(async () => said(await plan(onlyOrders)), { timeout: 15_000 })
    .toContain(`remove ${id('sessions')}`);
  expect(said(await apply(onlyOrders))).toEqual([`keep ${id('orders')}`, `remove ${id('sessions')}`]);
  await expect(client.schedule.getHandle(id('sessions')).describe()).rejects.toThrow(ScheduleNotFoundError);
  await client.schedule.getHandle(id('orders')).describe();
  expect(said(await plan(onlyOrders))).toEqual([`keep ${id('orders')}`]);
});

test.each([
  ['of another deployment', { rewindDeployment: 'rewind-other' }],
  ['of somebody who knows nothing of us', undefined],
])(
  'a schedule %s is never touched, neither by an apply that needs its name nor by one that does not',
  async (_, memo) => {
    const { id, apply, plan } = deployment();
    made.add(id('orders'));
    await client.schedule.create({
      scheduleId: id('orders'),
      memo,
      spec: { intervals: [{ every: '11h' }] },
      action: { type: 'startWorkflow', workflowType: 'theirs', taskQueue: 'theirs' },
    });
    const before = await client.schedule.getHandle(id('orders')).describe();
    await expect.poll(async () => listed(id('orders')), { timeout: 15_000 }).toBe(true);
    expect(said(await plan({ sessions: { every: '6h' } }))).toEqual([`create ${id('sessions')}`]);
    expect(said(await plan({ orders: { every: '6h' } }))).toEqual([`foreign ${id('orders')}`]);
    await expect(apply({ sessions: { every: '6h' }, orders: { every: '6h' } })).rejects.toMatchObject({
      code: 'SCHEDULE_FOREIGN',
      message: expect.stringContaining(memo ? 'deployment: rewind-other' : 'not of this deployment'),
    });
    expect(said(await plan({ sessions: { every: '6h' } }))).toEqual([`create ${id('sessions')}`]);
    const after = await client.schedule.getHandle(id('orders')).describe();
    expect(after.raw).toEqual(before.raw);
  },
);

test('two applies at the same moment make one schedule and both succeed', async () => {
  const { id, apply, plan } = deployment();
  await Promise.all([apply({ orders: { every: '6h' } }), apply({ orders: { every: '6h' } })]);
  expect(said(await plan({ orders: { every: '6h' } }))).toEqual([`keep ${id('orders')}`]);
});

test('a run of the schedule carries the attribute that commands find it by, and a summary to read', async () => {
  const { id, apply } = deployment();
  await apply({ orders: { every: '6h' } });
  const handle = client.schedule.getHandle(id('orders'));
  await handle.trigger();
  await expect.poll(async () => (await handle.describe()).info.recentActions.length, { timeout: 15_000 }).toBe(1);
  const started = (await handle.describe()).info.recentActions.map(({ action }) => action.workflow.workflowId);
  const run = client.workflow.getHandle(started[0] ?? '');
  const instance = id('orders').slice('backup/'.length);
  try {
    const { workflowId, typedSearchAttributes, staticSummary } = await describeRun(run);
    expect(workflowId).toMatch(new RegExp(`^${id('orders')}-\\d{4}-\\d\\d-\\d\\dT`));
    expect(typedSearchAttributes.get(searchAttributes.instance)).toBe(instance);
    expect(staticSummary).toBe(`Backup of ${instance}`);
  } finally {
    await run.terminate('the test is over');
  }
});

test('temporal schedule list reads well: what is backed up, when, and whether somebody paused it', async () => {
  const { id, apply } = deployment();
  await apply({ orders: { every: '6h' }, sessions: { cron: '30 2 * * *' } });
  await expect.poll(() => listed(id('sessions')), { timeout: 15_000 }).toBe(true);
  const lines = (await temporal('schedule', 'list', '--long')).split('\n');
  const line = (instance: string) => lines.find((each) => each.includes(id(instance))) ?? '';
  expect(line('orders')).toContain('scheduledBackup');
  expect(line('orders')).toMatch(/6h0m0s|6h/);
  const description = await temporal('schedule', 'describe', '--schedule-id', id('orders'));
  expect(description).toContain(`Backup of ${id('orders').slice('backup/'.length)} every 6h`);
});

async function describeRun(run: ReturnType<Client['workflow']['getHandle']>) {
  const description = await run.describe();
  return { ...description, staticSummary: await description.staticSummary() };
}

async function listed(id: string): Promise<boolean> {
  for await (const { scheduleId } of client.schedule.list()) if (scheduleId === id) return true;
  return false;
}

/** The real CLI, as an operator types it. */
async function temporal(...args: string[]): Promise<string> {
  const where = ['--address', address, '--namespace', namespace];
  const { stdout } = await promisify(execFile)(foundPart('temporal').path, [...args, ...where], { timeout: 20_000 });
  return stdout;
}
