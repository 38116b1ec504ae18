import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { freePort } from '../../process/free-port.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';

const url = pathToFileURL(join('/tmp', 'no-backup-is-taken-here')).href;
const orders = { url: 'redis://rewind@10.0.0.5:6379', host: {}, backup: { every: '6h' } };
const sessions = { url: 'redis://10.0.0.6:6379', backup: { cron: '30 2 * * *' } };
let deployment: Deployment;

beforeAll(async () => {
  deployment = await startDeployment({
    temporal: inject('temporal'),
    roles: [],
    config: { repository: { url }, instances: { orders, sessions } },
  });
});

afterAll(async () => {
  await deployment?.stop();
});

const schedules = async (...args: string[]) => {
  const { code, stdout } = await deployment.cli(...args, '--json');
  expect(code).toBe(0);
  return JSON.parse(stdout).schedules;
};

test('plan shows what apply then does; before any worker was there, and twice the same changes nothing', async () => {
  const created = [
    { change: 'create', id: 'backup/orders', instance: 'orders' },
    { change: 'create', id: 'backup/sessions', instance: 'sessions' },
  ];
  expect(await schedules('plan')).toEqual(created);
  expect(await schedules('plan')).toEqual(created);
  expect(await schedules('apply')).toEqual(created);
  const kept = created.map((change) => ({ ...change, change: 'keep' }));
  expect(await schedules('apply')).toEqual(kept);
  expect(await schedules('plan')).toEqual(kept);
});

test('a removal is marked in the plan, and only apply does it', async () => {
  const withoutSessions = await deployment.writeConfig({ repository: { url }, instances: { orders } });
  const plan = () => deployment.cli('--config', withoutSessions, 'plan');
  await expect.poll(async () => (await plan()).stdout, { timeout: 20_000 }).toMatch(/^ {2}REMOVE +backup\/sessions/m);
  await deployment.client.schedule.getHandle('backup/sessions').describe();
  const applied = await deployment.cli('--config', withoutSessions, 'apply');
  expect(applied.stderr).toMatch(/^ {2}REMOVE +backup\/sessions/m);
  expect(applied.stdout.trim()).toBe('schedules: 0 created, 0 updated, 1 removed, 1 as they were');
  await expect(deployment.client.schedule.getHandle('backup/sessions').describe()).rejects.toThrow();
});

test('a name that is taken by somebody else is shown by plan and refused by apply, which then does nothing', async () => {
  await deployment.client.schedule.create({
    scheduleId: 'backup/users',
    spec: { intervals: [{ every: '11h' }] },
    action: { type: 'startWorkflow', workflowType: 'theirs', taskQueue: 'theirs' },
  });
  const users = { ...sessions, backup: { every: '1h' } };
  const withUsers = await deployment.writeConfig({ repository: { url }, instances: { orders, reports: users, users } });
  expect((await deployment.cli('--config', withUsers, 'plan')).stdout).toMatch(/^ {2}REFUSE +backup\/users/m);
  const { code, stdout } = await deployment.cli('--config', withUsers, 'apply', '--json');
  expect(code).toBe(1);
  expect(JSON.parse(stdout).error.code).toBe('SCHEDULE_FOREIGN');
  await expect(deployment.client.schedule.getHandle('backup/reports').describe()).rejects.toThrow();
});

test('with Temporal down plan says what is meant and apply says that it cannot', async () => {
  const address = `127.0.0.1:${await freePort()}`;
  const down = ['--config', await deployment.writeConfig({ repository: { url }, instances: { orders } })];
  const text = await readFile(down[1] as string, 'utf8');
  await writeFile(down[1] as string, text.replace(/address: .*/, `address: ${address}`));
  const plan = await deployment.cli(...down, 'plan', '--json');
  expect(plan.code).toBe(0);
  const document = JSON.parse(plan.stdout);
  expect(document).not.toHaveProperty('schedules');
  expect(document.instances.orders.schedule.next).toHaveLength(3);
  expect(plan.stderr).toContain('is not known');
  const apply = await deployment.cli(...down, 'apply', '--json');
  expect(apply.code).toBe(1);
  expect(JSON.parse(apply.stdout).error.code).toBe('TEMPORAL_UNREACHABLE');
});

test('config schema prints one JSON document, with and without --json', async () => {
  const [plain, json] = [await deployment.cli('config', 'schema'), await deployment.cli('config', 'schema', '--json')];
  expect(JSON.parse(plain.stdout)).toEqual(JSON.parse(json.stdout));
  expect(JSON.parse(plain.stdout)).toMatchObject({ type: 'object', properties: { instances: {} } });
});

test('every command that is offered has its own help', async () => {
  const { stdout } = await deployment.cli('--help');
  for (const command of ['check', 'plan', 'apply', 'status', 'adopt', 'config']) {
    expect(stdout).toMatch(new RegExp(`^ {2}${command}\\b`, 'm'));
    expect((await deployment.cli(command, '--help')).code).toBe(0);
  }
  expect((await deployment.cli('status', '--help')).stdout).toContain('until there are restore drills');
});
