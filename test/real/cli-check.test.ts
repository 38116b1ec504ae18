import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import type { Finding } from '../../check/finding.ts';
import { foundPart } from '../../process/found-parts.ts';
import { freePort } from '../../process/free-port.ts';
import { searchAttributes } from '../../workflows/search-attributes.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { createBucket, s3Client } from '../support/s3-store.ts';
import { type RedisServer, randomPassword, redisBinary, startRedis } from '../support/servers.ts';

const minio = inject('minio');
const temporal = inject('temporal');
let redis: RedisServer;
let deployment: Deployment;
let bucket: string;
let config: Parameters<Deployment['writeConfig']>[0];

beforeAll(async () => {
  redis = await startRedis({ password: randomPassword(), config: { appendonly: 'yes' } });
  bucket = await createBucket(minio, 'check');
  config = {
    repository: {
      url: `s3://${bucket}/redis`,
      endpoint: minio.endpoint,
      region: minio.region,
      pathStyle: true,
      encryption: { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId },
    },
    instances: {
      orders: {
        url: `redis://127.0.0.1:${redis.port}`,
        password: { env: 'ORDERS_PASSWORD' },
        host: { sandbox: true },
        drill: { every: '30d' },
      },
    },
  };
  deployment = await startDeployment({
    temporal,
    env: { ...minio.env, ORDERS_PASSWORD: redis.password, PATH: `${dirname(redisBinary())}:${process.env.PATH}` },
    config,
  });
});

afterAll(async () => {
  await deployment?.stop();
  await redis?.stop();
});

async function check(
  ...args: string[]
): Promise<{ code: number | null; findings: readonly Finding[]; stderr: string }> {
  const { code, stdout, stderr } = await deployment.cli(...args, 'check', 'orders', '--json');
  const document = JSON.parse(stdout);
  expect(Object.keys(document.instances)).toEqual(['orders']);
  expect(document.notInForce).toEqual(['not in force in this version: instances.orders.drill']);
  return { code, findings: document.instances.orders.findings, stderr };
}

/** What this machine's memory is like is no matter here. */
const codes = (findings: readonly Finding[]) =>
  findings.map(({ code }) => code).filter((code) => code !== 'OVERCOMMIT' && code !== 'FORK_HEADROOM');

async function objects(): Promise<(string | undefined)[]> {
  const client = s3Client(minio);
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
  client.destroy();
  return Contents.map(({ Key }) => Key).filter((key) => !key?.includes('/encryption/'));
}

test('what was configured and not applied is found, and mended by the command that is given', async () => {
  const before = await check();
  expect(codes(before.findings)).toEqual(['SCHEDULE_MISSING']);
  expect(before.findings.find(({ code }) => code === 'SCHEDULE_MISSING')).toMatchObject({
    severity: 'warning',
    fix: 'rewind apply',
  });
  expect(before.code).toBe(3);
  expect((await deployment.cli('apply')).code).toBe(0);
});

test('an instance with nothing to find ends with 0; a probe went the whole way and nothing of it is left', async () => {
  const { code, findings } = await check();
  expect(codes(findings)).toEqual([]);
  expect(code).toBe(findings.every(({ severity }) => severity === 'info') ? 0 : 3);
  expect(await objects()).toEqual([]);

  const text = await deployment.cli('check');
  expect(text.stdout).toMatch(/^orders: recoverable as it stands/);
  expect(text.stdout).toContain('not in force in this version: instances.orders.drill');
  expect(text.stdout.split('\n').filter((line) => line.length > 80 && !line.includes('fix: '))).toEqual([]);
});

test('a schedule that somebody paused is found with the note, and the command that is given ends the pause', async () => {
  const schedule = deployment.client.schedule.getHandle('backup/orders');
  await schedule.pause('moving the rack');
  const { findings, code } = await check();
  expect(code).toBe(3);
  expect(codes(findings)).toEqual(['SCHEDULE_PAUSED']);
  const paused = findings.find((finding) => finding.code === 'SCHEDULE_PAUSED');
  expect(paused?.consequence).toContain('moving the rack');
  const [program, ...args] = (paused?.fix ?? '').split(' ');
  expect(program).toBe('temporal');
  await promisify(execFile)(foundPart('temporal').path, args);
  expect((await schedule.describe()).state.paused).toBe(false);
});

test('plain temporal asks the same of the roles, and neither its answer nor its history holds a secret', async () => {
  const { stdout } = await promisify(execFile)(foundPart('temporal').path, [
    ...['workflow', 'execute', '--type', 'checkInstance', '--task-queue', 'rewind', '--workflow-id', 'by-hand'],
    ...['--input', '{"instance":"orders"}', '--output', 'json'],
    ...['--address', temporal.address, '--namespace', deployment.client.options.namespace],
  ]);
  const { result } = JSON.parse(stdout);
  expect(result).toMatchObject({
    instance: 'orders',
    view: { redis: { server: { name: 'redis' } }, identity: { judgement: 'new' } },
    probe: { readings: { orchestrator: { reading: 'same' }, sandbox: { reading: 'same' } } },
    sandbox: { servers: [{ name: 'redis' }] },
  });
  const history = JSON.stringify(await deployment.client.workflow.getHandle('by-hand').fetchHistory());
  expect(Buffer.from(history, 'utf8').includes(redis.password as string)).toBe(false);
  expect(history).not.toContain(
    Buffer.from(redis.password as string)
      .toString('base64')
      .slice(0, 12),
  );
});

test('a run of the check is found by the instance’s search attribute', async () => {
  const query = `${searchAttributes.instance.name} = 'orders' AND WorkflowType = 'checkInstance'`;
  await expect.poll(async () => (await deployment.client.workflow.count(query)).count).toBeGreaterThanOrEqual(2);
});

test('an agent that was killed is found; Redis and the store are looked at all the same', async () => {
  await deployment.kill9('host');
  const { code, findings } = await check();
  expect(code).toBe(3);
  expect(codes(findings)).toEqual(['AGENT_SILENT']);
  expect(findings[0]?.fix).toBe('rewind worker --role host --instance orders');
  expect(await objects()).toEqual([]);
  await deployment.start('host');
  expect(codes((await check()).findings)).toEqual([]);
});

test('a sandbox that was killed is found: backups would stay unproven', async () => {
  await deployment.kill9('sandbox');
  const { code, findings } = await check();
  expect(code).toBe(3);
  expect(codes(findings)).toEqual(['SANDBOX_SILENT']);
  await deployment.start('sandbox');
});

test('an orchestrator that was killed is found within seconds, and the rest is looked at from here', async () => {
  await deployment.kill9('orchestrator');
  const { code, findings } = await check();
  expect(code).toBe(3);
  expect(codes(findings)).toEqual(['ORCHESTRATOR_SILENT']);
  expect(await objects()).toEqual([]);
  await deployment.start('orchestrator');
});

test('Redis down is a finding, with the command that shows it', async () => {
  await redis.kill9();
  const { code, findings } = await check();
  expect(code).toBe(3);
  expect(codes(findings)).toEqual(['REDIS_UNREACHABLE']);
  expect(findings[0]).toMatchObject({
    consequence: expect.stringContaining('Seen from the agent'),
    fix: `redis-cli -h 127.0.0.1 -p ${redis.port} PING`,
  });
  await redis.restart();
});

test('Temporal down is a finding, and everything else is looked at from here', async () => {
  const text = JSON.stringify({ ...config, temporal: { address: `127.0.0.1:${await freePort()}` } });
  const elsewhere = await deployment.writeConfig(config);
  await writeFile(elsewhere, text);
  const { code, findings } = await check('--config', elsewhere);
  expect(code).toBe(3);
  expect(codes(findings)).toEqual(['TEMPORAL_UNREACHABLE']);
  expect(findings[0]?.fix).toBe('rewind backup orders --without-temporal');
  expect(await objects()).toEqual([]);
});

test('roles with another rewind.yaml are found: what they would do is not what is configured here', async () => {
  const orders = { ...config.instances?.orders, backup: { flagBelow: '10%' } };
  const changed = await deployment.writeConfig({ ...config, instances: { orders } });
  const { findings } = await check('--config', changed);
  expect(findings[0]).toMatchObject({ code: 'POLICY_MISMATCH', severity: 'error' });
  expect(findings[0]?.consequence).toMatch(/\([0-9a-f]{16}\) is not this one \([0-9a-f]{16}\)/);
});

test('an unknown instance is wrong usage, told with the nearest name', async () => {
  const unknown = await deployment.cli('check', 'order', '--json');
  expect(unknown.code).toBe(2);
  expect(JSON.parse(unknown.stdout).error).toMatchObject({
    code: 'INSTANCE_UNKNOWN',
    message: expect.stringContaining('did you mean orders?'),
  });
});
