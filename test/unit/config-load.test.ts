import { mkdir, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addInstance } from '../../config/add-instance.ts';
import { loadConfig, parseConfig } from '../../config/load.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await temporaryFolder('config');
});
afterEach(() => folder.remove());

const put = async (name: string, text: string) => {
  const path = join(folder.path, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
  return path;
};
const names = (config: { instances: object }) => Object.keys(config.instances);
const one = (name: string) => `instances:\n  ${name}: { url: redis://h }\n`;

describe('which file counts', () => {
  test('--config, then REWIND_CONFIG, then rewind.yaml in the working folder, then the defaults', async () => {
    const cwd = folder.path;
    await put('asked.yaml', one('asked'));
    await put('env.yaml', one('env'));
    const inFolder = await put('rewind.yaml', one('here'));
    const env = { REWIND_CONFIG: 'env.yaml' };
    expect(names(await loadConfig({ path: 'asked.yaml', env, cwd }))).toEqual(['asked']);
    expect(names(await loadConfig({ env, cwd }))).toEqual(['env']);
    const here = await loadConfig({ env: { REWIND_CONFIG: '' }, cwd });
    expect({ names: names(here), source: here.source, path: here.path }).toEqual({
      names: ['here'],
      source: 'file',
      path: inFolder,
    });
    await mkdir(join(cwd, 'empty'));
    const defaults = await loadConfig({ env: {}, cwd: join(cwd, 'empty') });
    expect({ names: names(defaults), source: defaults.source, path: defaults.path }).toEqual({
      names: [],
      source: 'defaults',
      path: undefined,
    });
  });

  test.each([{ path: 'gone.yaml', env: {} }, { env: { REWIND_CONFIG: 'gone.yaml' } }])(
    'one that was asked for and is not there is an error, though rewind.yaml is: %j',
    async (from) => {
      await put('rewind.yaml', one('here'));
      await expect(loadConfig({ ...from, cwd: folder.path })).rejects.toMatchObject({
        code: 'CONFIG_NOT_FOUND',
        message: `${join(folder.path, 'gone.yaml')} does not exist.`,
      });
    },
  );

  test('a folder is no configuration, nor is a file of more than 1 MiB', async () => {
    await expect(loadConfig({ path: '.', env: {}, cwd: folder.path })).rejects.toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: `${folder.path} cannot be read (EISDIR).`,
    });
    const large = await put('large.yaml', '#'.repeat(1024 * 1024 + 1));
    await expect(loadConfig({ path: large, env: {}, cwd: '/' })).rejects.toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: `${large} has 1048577 bytes; a configuration has 1048576 at most.`,
    });
  });

  test('errors call the file as a person in the working folder would', async () => {
    await put('etc/rewind.yaml', 'instanes: {}');
    const load = (cwd: string) => loadConfig({ path: join(folder.path, 'etc/rewind.yaml'), env: {}, cwd });
    await expect(load(folder.path)).rejects.toThrow(
      /^etc\/rewind\.yaml:1:1: unknown key instanes, did you mean instances\?/,
    );
    await mkdir(join(folder.path, 'elsewhere'));
    await expect(load(join(folder.path, 'elsewhere'))).rejects.toThrow(`${folder.path}/etc/rewind.yaml:1:1: `);
  });
});

describe('what is not written', () => {
  test('comes from the embedded defaults', async () => {
    const config = await loadConfig({ env: { REWIND_HOME: '/var/lib/re wind' }, cwd: folder.path });
    expect(config).toEqual({
      source: 'defaults',
      deployment: expect.stringMatching(/^rewind-[0-9a-f]{12}$/),
      temporal: undefined,
      repository: {
        url: 'file:///var/lib/re%20wind/repository',
        region: undefined,
        endpoint: undefined,
        pathStyle: false,
        encryption: { sse: 'none' },
        tls: undefined,
      },
      sandbox: { servers: undefined, maxMemoryBytes: Math.floor(totalmem() / 2) },
      timeouts: { roleSilenceMs: 300_000, heartbeatMs: 20_000, stepMs: 86_400_000, retryMs: 1_000 },
      instances: {},
      notInForce: [],
    });
  });

  test('without REWIND_HOME the repository is in .rewind of the checkout, whatever the working folder', async () => {
    const config = await loadConfig({ env: {}, cwd: folder.path });
    expect(config.repository.url).toBe(new URL('../../.rewind/repository', import.meta.url).href);
  });

  test('an instance that says only where it is', () => {
    const { instances } = parseConfig(one('orders'), { name: 'r', folder: '/', home: '/' });
    expect(instances.orders).toEqual({
      url: 'redis://h',
      replicas: [],
      dataClass: 'session-store',
      backup: { from: 'primary', rewriteAof: false, flagBelow: 0.5, acl: true },
      objectives: {},
      retention: { hourly: 24, daily: 30, weekly: 52, monthly: 'forever' },
      approval: { required: 1, timeoutMs: 1_800_000, excludeStarter: false },
      limits: { restoreLatencyMs: 100 },
    });
  });

  test('encryption on s3 is aws:kms unless none is written out', () => {
    const sse = (text: string) =>
      parseConfig(`repository: ${text}`, { name: 'r', folder: '/', home: '/' }).repository.encryption.sse;
    expect(sse('{ url: s3://bucket }')).toBe('aws:kms');
    expect(sse('{ url: s3://bucket, encryption: { sse: none } }')).toBe('none');
    expect(sse('{ url: file:///backups }')).toBe('none');
  });

  test('the deployment is the same as long as the repository is', () => {
    const deployment = (text: string) => parseConfig(text, { name: 'r', folder: '/', home: '/' }).deployment;
    const named = deployment('repository: { url: s3://bucket/redis }');
    expect(deployment('repository: { url: s3://bucket/redis/, region: eu-west-1 }\ninstances: {}')).toBe(named);
    expect(deployment('repository: { url: s3://bucket/other }')).not.toBe(named);
    expect(deployment('deployment: mine')).toBe('mine');
  });
});

test('relative paths are meant from the folder of the file', async () => {
  const path = await put(
    'etc/rewind.yaml',
    [
      'temporal: { apiKey: { file: key }, tls: { serverCACert: { path: t.pem } } }',
      'repository: { url: s3://bucket, tls: { ca: ca.pem } }',
      'sandbox: { servers: [bin/redis-server, /usr/bin/redis-server] }',
      'instances:',
      '  a: { url: rediss://h, password: { file: ../secret }, tls: { cert: c.pem, key: /k.pem } }',
    ].join('\n'),
  );
  const config = await loadConfig({ path, env: {}, cwd: '/' });
  const etc = join(folder.path, 'etc');
  expect(config.temporal?.apiKey).toMatchObject({ file: `${etc}/key` });
  expect(config.temporal?.tls?.serverCACert).toEqual({ path: `${etc}/t.pem` });
  expect(config.repository.tls).toEqual({ ca: `${etc}/ca.pem` });
  expect(config.sandbox.servers).toEqual([`${etc}/bin/redis-server`, '/usr/bin/redis-server']);
  expect(config.instances.a?.password).toMatchObject({ file: join(folder.path, 'secret') });
  expect(config.instances.a?.tls).toEqual({ cert: `${etc}/c.pem`, key: '/k.pem' });
});

test('a key that is known but not in force is accepted and told, by the instance that has it', () => {
  const { notInForce } = parseConfig(
    [
      'instances:',
      '  a: { url: redis://h, drill: { every: 7d }, host: { restoreDir: /r, local: { keep: 2 } } }',
      '  b: { managed: { provider: elasticache }, retention: {} }',
    ].join('\n'),
    { name: 'r', folder: '/', home: '/' },
  );
  expect(notInForce).toEqual([
    'not in force in this version: instances.b.retention',
    'not in force in this version: instances.a.drill',
    'not in force in this version: instances.b.managed',
  ]);
});

test('quantities are read in their units', () => {
  const { instances, sandbox } = parseConfig(
    [
      'sandbox: { maxMemory: 1.5GB }',
      'instances:',
      '  a: { url: redis://h, backup: { every: 90m, flagBelow: 12.5% }, host: { local: { for: 2w, minFree: 0% } }, limits: { uploadBytesPerSecond: 64mb } }',
      '  b: { url: redis://h, backup: { cron: "15 2 * * mon", flagBelow: 0.25 }, limits: { uploadBytesPerSecond: 1048576, restoreKeysPerSecond: 5000, restoreLatency: 250ms } }',
    ].join('\n'),
    { name: 'r', folder: '/', home: '/' },
  );
  expect(sandbox.maxMemoryBytes).toBe(1_610_612_736);
  expect(instances.a?.backup).toMatchObject({ everySeconds: 5_400, flagBelow: 0.125 });
  expect(instances.a?.host?.local).toEqual({ keep: 0, forSeconds: 1_209_600, minFreePercent: 0 });
  expect(instances.a?.limits).toEqual({ uploadBytesPerSecond: 67_108_864, restoreLatencyMs: 100 });
  expect(instances.b?.backup).toMatchObject({ cron: '15 2 * * mon', flagBelow: 0.25 });
  expect(instances.b?.limits).toEqual({
    uploadBytesPerSecond: 1_048_576,
    restoreKeysPerSecond: 5_000,
    restoreLatencyMs: 250,
  });
});

test('an instance is added as if the file had named it', async () => {
  await put('rewind.yaml', one('orders'));
  const config = await loadConfig({ env: {}, cwd: folder.path });
  const more = addInstance(config, 'demo', { url: 'unix:///run/demo.sock', dataClass: 'job-queue' });
  expect(names(more)).toEqual(['orders', 'demo']);
  expect(more.instances.demo).toMatchObject({ url: 'unix:///run/demo.sock', dataClass: 'job-queue' });
  expect(more.repository).toEqual(config.repository);
  expect(names(config)).toEqual(['orders']);
  expect(() => addInstance(config, 'Demo', { url: 'redis://h' })).toThrow('is no usable name');
});
