import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { parseConfig } from '../../config/load.ts';
import { policyDigest } from '../../policy/digest.ts';
import { instancesInForce, policyOf } from '../../policy/instance-policy.ts';

const load = (text: string, home = '/var/lib/rewind') =>
  parseConfig(text, { name: 'rewind.yaml', folder: '/etc', home });

const ORDERS = `
repository: { url: s3://bucket/redis, encryption: { sse: aws:kms, kmsKeyId: alias/k } }
instances:
  orders:
    url: rediss://app@10.0.0.5:6380
    password: { env: ORDERS_REDIS_PASSWORD }
    tls: { ca: /etc/ca.pem }
    replicas: [redis://app@10.0.0.6:6379, "redis://[fe80::1]"]
    dataClass: job-queue
    backup: { every: 2h, rewriteAof: true, flagBelow: 10%, acl: false }
    host: { local: { keep: 3, for: 1d, minFree: 15% }, sandbox: true }
    limits: { uploadBytesPerSecond: 50mb }
`;

test('a policy holds all that a workflow needs', () => {
  expect(policyOf(load(ORDERS), 'orders')).toEqual({
    digest: expect.stringMatching(/^[0-9a-f]{16}$/),
    instance: 'orders',
    dataClass: 'job-queue',
    source: 'agent',
    hostQueue: 'rewind-host-orders',
    topology: { from: 'primary', replicas: ['redis://10.0.0.6:6379', 'redis://[fe80::1]'], sentinel: false },
    backup: { rewriteAof: true, flagBelow: 0.1, includeAcl: false },
    host: {
      sandbox: true,
      local: { keep: 3, forSeconds: 86_400, minFreePercent: 15 },
      service: 'none',
      warmUp: false,
    },
    approval: { required: 1, timeoutMs: 1_800_000, excludeStarter: false },
    limits: { uploadBytesPerSecond: 52_428_800, restoreLatencyMs: 100 },
    repository: { url: 's3://bucket/redis', encryption: { sse: 'aws:kms', kmsKeyId: 'alias/k' } },
    schedule: { everySeconds: 7_200, jitterSeconds: 120, catchupSeconds: 7_200 },
    objectives: { rtoSeconds: 600, rpoSeconds: 7_200 + 120 + 720 },
    timeouts: { roleSilenceMs: 300_000, heartbeatMs: 20_000, stepMs: 86_400_000, retryMs: 1_000 },
  });
});

test('a policy holds no secret, no user, nor where one is kept, and survives JSON', () => {
  const policy = policyOf(load(ORDERS), 'orders');
  const json = JSON.stringify(policy);
  for (const word of ['ORDERS_REDIS_PASSWORD', 'app@', 'ca.pem']) expect(json).not.toContain(word);
  expect(policyDigest(JSON.parse(json))).toBe(policy.digest);
});

test.each([
  ['redis://10.0.0.5', '', 'replication', 'rewind'],
  ['redis://redis.internal', '', 'replication', 'rewind'],
  ['redis://10.0.0.5', 'host: {}', 'agent', 'rewind-host-a'],
  ['redis://127.0.0.1:7000', '', 'agent', 'rewind-host-a'],
  ['redis://127.9.9.9', '', 'agent', 'rewind-host-a'],
  ['redis://LocalHost', '', 'agent', 'rewind-host-a'],
  ['redis://[::1]:7000', '', 'agent', 'rewind-host-a'],
  ['unix:///run/redis.sock', '', 'agent', 'rewind-host-a'],
  ['redis://127.0.0.1.example.com', '', 'replication', 'rewind'],
])('%s %s: the dump comes by %s…', (url, host, source, hostQueue) => {
  const policy = policyOf(load(`instances:\n  a:\n    url: "${url}"\n    ${host}\n`), 'a');
  expect({ source: policy.source, hostQueue: policy.hostQueue }).toEqual({ source, hostQueue });
});

test.each([
  ['cache', undefined, 60, undefined],
  ['session-store', 21_600, 600, 21_600 + 120 + 2_160],
  ['job-queue', 3_600, 600, 3_600 + 120 + 360],
  ['rate-limit', 21_600, 600, 21_600 + 120 + 2_160],
  ['audit-log', 3_600, 1_800, 60],
])('what is not written comes from the data class: %s', (dataClass, everySeconds, rtoSeconds, rpoSeconds) => {
  const { schedule, objectives } = policyOf(load(`instances: { a: { url: redis://h, dataClass: ${dataClass} } }`), 'a');
  expect(schedule && 'everySeconds' in schedule ? schedule.everySeconds : undefined).toBe(everySeconds);
  expect(objectives).toEqual({ rtoSeconds, rpoSeconds });
});

test('what is written goes before the data class', () => {
  const of = (more: string) => policyOf(load(`instances: { a: { url: redis://h, ${more} } }`), 'a');
  expect(of('dataClass: cache, backup: { every: 1d }').schedule).toMatchObject({ everySeconds: 86_400 });
  expect(of('dataClass: audit-log, backup: { cron: "0 3 * * *" }').schedule).toEqual({
    cron: '0 3 * * *',
    jitterSeconds: 120,
    catchupSeconds: 86_400,
  });
  expect(of('objectives: { rto: 5m, rpo: 10s }').objectives).toEqual({ rtoSeconds: 300, rpoSeconds: 10 });
});

test('a name that is not configured is told with the nearest one', () => {
  const config = load('instances: { orders: { url: redis://h }, sessions: { url: redis://h } }');
  const why = (name: string) => expect(() => policyOf(config, name));
  why('order').toThrow('no instance "order" is configured, did you mean orders?; there are: orders, sessions');
  why('toString').toThrow('no instance "toString" is configured; there are: orders, sessions');
  expect(() => policyOf(load(''), 'orders')).toThrow('no instance "orders" is configured; there is none');
});

test('a managed instance without a url has no policy in this version, and is not in force', () => {
  const config = load('instances: { a: { managed: { provider: elasticache } }, b: { url: redis://h } }');
  expect(() => policyOf(config, 'a')).toThrow('a has no url; managed services are not in force in this version.');
  expect(instancesInForce(config)).toEqual(['b']);
});

test('the digest is the same whatever the layout, the order of keys, the place of secrets and the other instances', () => {
  const same = `
# the same in other words
instances:
  others: { url: redis://10.0.0.9 }
  orders:
    limits: { uploadBytesPerSecond: 52428800 }
    host:
      sandbox: true
      local:
        minFree: "15%"
        keep: 3
        for: 24h
    backup: { acl: false, flagBelow: 0.1, rewriteAof: true, every: 120m, from: primary }
    dataClass: "job-queue"
    replicas:
      - redis://10.0.0.6:6379
      - redis://[fe80::1]
    password: { file: /run/secrets/orders }
    url: rediss://app@10.0.0.5:6380
repository:
  encryption: { kmsKeyId: alias/k, sse: "aws:kms" }
  url: s3://bucket/redis/
`;
  expect(policyOf(load(same, '/another/home'), 'orders').digest).toBe(policyOf(load(ORDERS), 'orders').digest);
});

test.each([
  ['every: 2h', 'every: 3h'],
  ['acl: false', 'acl: true'],
  ['keep: 3', 'keep: 4'],
  ['minFree: 15%', 'minFree: 16%'],
  ['alias/k', 'alias/other'],
  ['bucket/redis', 'bucket/other'],
  ['uploadBytesPerSecond: 50mb', 'uploadBytesPerSecond: 51mb'],
  ['from: primary', 'from: replica'],
  ['10.0.0.6', '10.0.0.7'],
])('the digest changes with %s', (from, to) => {
  const text = ORDERS.replace('{ every', '{ from: primary, every');
  const changed = text.replace(from, to);
  expect(changed).not.toBe(text);
  expect(policyOf(load(changed), 'orders').digest).not.toBe(policyOf(load(text), 'orders').digest);
});

test('another process comes to the same digest', async () => {
  const script = `
    import { parseConfig } from ${JSON.stringify(new URL('../../config/load.ts', import.meta.url).href)};
    import { policyOf } from ${JSON.stringify(new URL('../../policy/instance-policy.ts', import.meta.url).href)};
    const config = parseConfig(process.env.TEXT, { name: 'r', folder: '/elsewhere', home: '/elsewhere' });
    process.stdout.write(policyOf(config, 'orders').digest);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module-typescript', '-e', script], {
    env: { TEXT: ORDERS, LC_ALL: 'tr_TR.UTF-8', TZ: 'Asia/Tokyo' },
    cwd: '/',
  });
  expect(stdout).toBe(policyOf(load(ORDERS), 'orders').digest);
});

test('the digest tells apart what looks alike', () => {
  const values = [
    { a: '1' },
    { a: 1 },
    { a: [1] },
    { a: { 0: 1 } },
    { a: null },
    {},
    { a: '[1]' },
    { a: ['', ''] },
    { a: [''] },
  ];
  expect(new Set(values.map(policyDigest)).size).toBe(values.length);
  expect(policyDigest({ a: undefined })).toBe(policyDigest({}));
});

test('the digest does not see in which order keys were put', () => {
  expect(policyDigest({ b: { d: 1, c: [2, 3] }, a: 'x' })).toBe(policyDigest({ a: 'x', b: { c: [2, 3], d: 1 } }));
  expect(policyDigest({ a: [2, 3] })).not.toBe(policyDigest({ a: [3, 2] }));
});
