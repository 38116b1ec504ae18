import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { foundPart } from '../../process/found-parts.ts';
import { freePort } from '../../process/free-port.ts';
import { type LeashedProcess, startLeashed } from '../../process/leash.ts';
import { untilReady } from '../../process/until-ready.ts';
import { s3Client } from '../support/s3-store.ts';
import { startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { type ComposeService, codeBlock, inCheckout, readCompose, readImage, readText } from './compose-file.ts';

// There is no Docker engine where the tests run. So each service of ours is started here as Compose would: its own command,
// environment, secrets and configuration files as docker-compose.yml has them; only addresses and paths are this machine's.
// MinIO stands in for RustFS, and Redis is the version that the bootstrap found.

const compose = readCompose();
const image = readImage();
const run = promisify(execFile);

const folder = await temporaryFolder('compose');
const secrets = join(folder.path, 'deploy', 'secrets');
const redisData = join(folder.path, 'redis-data');
const redisPort = await freePort();
const temporal = inject('temporal');
const minio = inject('minio');
const namespace = `compose-${randomUUID()}`;
const started: LeashedProcess[] = [];

type Here = (text: string) => string;

const containers = new Map<string, Promise<Here>>();

/** What a name of the compose network, or a path in the container of a service, is on this machine. */
function onThisMachine(name: string): Promise<Here> {
  const made = containers.get(name) ?? makeContainer(name);
  containers.set(name, made);
  return made;
}

/** A folder for the root of a container, with the secrets and configuration files that it was granted. */
async function makeContainer(name: string): Promise<Here> {
  const container = join(folder.path, 'containers', name);
  const replacements: [string, string][] = [
    ['temporal:7233', temporal.address],
    ['namespace: default', `namespace: ${namespace}`],
    ['http://rustfs:9000', minio.endpoint],
    ['redis:6379', `127.0.0.1:${redisPort}`],
    ['port 6379', `port ${redisPort}\nbind 127.0.0.1`],
    ['dir /data', `dir ${redisData}`],
    ['/usr/bin/redis-server', foundPart('redis').path],
    ['/opt/rewind/create-bucket.mjs', inCheckout('deploy/create-bucket.mjs')],
    ...['/run/secrets/', '/etc/rewind/', '/etc/redis/', '/var/lib/rewind'].map(
      (path) => [path, join(container, path)] as [string, string],
    ),
  ];
  const here = (text: string) => replacements.reduce((said, [from, to]) => said.replaceAll(from, to), text);
  const { secrets: granted = [], configs = [] } = service(name);
  for (const secret of granted) await copyInto(join(secrets, secret), here(`/run/secrets/${secret}`));
  for (const { source, target } of configs) {
    await mkdir(dirname(here(target)), { recursive: true });
    await writeFile(here(target), here(readText(compose.configs[source]?.file ?? '')));
  }
  return here;
}

/** The program and its arguments, and the environment, of a service whose image is ours or runs a plain program. */
async function asStarted(name: string, command = service(name).command ?? []) {
  const here = await onThisMachine(name);
  const { entrypoint = service(name).build ? image.entrypoint : [], environment = {} } = service(name);
  const words = [...entrypoint, ...command].map(here);
  if (words[0] === 'rewind') words.splice(0, 1, process.execPath, inCheckout('bin/rewind.mjs'));
  if (words[0] === 'node') words[0] = process.execPath;
  if (words[0] === 'redis-server') words[0] = foundPart('redis').path;
  const cwd = join(folder.path, 'containers', name);
  await mkdir(join(cwd, 'var/lib/rewind'), { recursive: true });
  const env: Record<string, string> = { PATH: path(), HOME: cwd };
  for (const [key, value] of Object.entries({ ...(service(name).build ? image.env : {}), ...environment })) {
    env[key] = here(value);
  }
  return { command: words[0] as string, args: words.slice(1), env, cwd };
}

/** A job of the deployment, or a command of `docker compose exec`. */
async function runToEnd(name: string, command?: readonly string[], env: Record<string, string> = {}) {
  const spec = await asStarted(name, command);
  return run(spec.command, spec.args, { cwd: spec.cwd, env: { ...spec.env, ...env }, timeout: 120_000 });
}

async function start(name: string, isReady: () => Promise<boolean>): Promise<void> {
  const logFile = join(folder.path, `${name}.log`);
  const program = await startLeashed({ name, ...(await asStarted(name)), logFile });
  started.push(program);
  await untilReady(program, isReady, { timeoutMs: 180_000, logFile });
}

beforeAll(async () => {
  await mkdir(secrets.slice(0, -'/secrets'.length), { recursive: true });
  await mkdir(redisData);
  // The page's own commands: what an operator types is what is tested.
  await run('sh', ['-euc', codeBlock('docs/DEPLOYMENT.md', 'secrets')], { cwd: folder.path });
});

afterAll(async () => {
  await Promise.all(started.map((program) => program.stop()));
  await folder.remove();
});

describe('the services of docker-compose.yml, run without Docker', () => {
  test('the secrets that the page tells to make are those that the file mounts', async () => {
    const files = Object.values(compose.secrets).map(({ file }) => file.slice('./deploy/secrets/'.length));
    expect(await readdir(secrets)).toEqual(expect.arrayContaining(files));
    const credentials = await readFile(join(secrets, 's3_credentials'), 'utf8');
    expect(credentials).toContain(`aws_secret_access_key = ${await secret('s3_secret_key')}\n`);
    expect(await secret('rustfs_kms_key')).toMatch(/^rewind:[A-Za-z0-9+/]{43}=$/);
  });

  test('the three roles take a backup that is verified, with the rights of the file and no others', {
    timeout: 400_000,
  }, async () => {
    await start('redis', () => redisIsHealthy());
    const application = await loggedIn('redis_app_password');
    await application.mset(Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`key:${n}`, `value ${n}`])));
    application.disconnect();

    // The store here is one that runs already, with credentials of its own.
    await replaceIn(join(secrets, 's3_credentials'), {
      [await secret('s3_access_key')]: minio.env.AWS_ACCESS_KEY_ID as string,
      [await secret('s3_secret_key')]: minio.env.AWS_SECRET_ACCESS_KEY as string,
    });
    expect((await runToEnd('store-bucket')).stdout).toMatch(/^bucket redis-backups: (made|there)\n$/);
    expect((await runToEnd('store-bucket')).stdout).toBe('bucket redis-backups: there\n');

    await runToEnd('temporal-namespace', undefined, { TEMPORAL_NAMESPACE: namespace });
    await Promise.all(['orchestrator', 'host-agent', 'sandbox'].map((role) => start(role, () => polls(role))));

    // What the page tells to type once they are up.
    const typed = [...readText('docs/DEPLOYMENT.md').matchAll(/^docker compose exec (\S+) rewind (.+)$/gm)];
    expect(typed.map(([, at, command]) => `${at}: ${command}`)).toEqual([
      'orchestrator: apply',
      'host-agent: check main',
      'orchestrator: backup main',
      'orchestrator: backups main',
    ]);
    expect((await runToEnd('orchestrator', ['apply'])).stdout).toContain('schedules: 1 created');
    expect((await runToEnd('host-agent', ['check', 'main'])).stdout).toContain('main: recoverable as it stands');
    const { backup } = JSON.parse((await runToEnd('orchestrator', ['backup', 'main', '--json'])).stdout);
    expect(backup).toMatchObject({ state: 'verified', keys: 500 });
    expect((await runToEnd('orchestrator', ['backups', 'main'])).stdout).toContain(backup.id);

    const store = s3Client(minio);
    const { Contents = [] } = await store.send(
      new ListObjectsV2Command({ Bucket: 'redis-backups', Prefix: `rewind/${backup.tier}/main/` }),
    );
    const stored = (name: string) => ({
      Bucket: 'redis-backups',
      Key: Contents.find(({ Key }) => Key?.includes(backup.id) && Key.endsWith(`/${name}`))?.Key,
    });
    const dump = await store.send(new HeadObjectCommand(stored('dump.rdb')));
    expect(dump.ServerSideEncryption).toBe('AES256');
    const text = async (name: string) =>
      (await store.send(new GetObjectCommand(stored(name)))).Body?.transformToString() ?? '';
    // The agent was let into Redis' folder, and its user may read all that a restore has to know of the server.
    expect(JSON.parse(await text('manifest.json'))).toMatchObject({ source: 'dump-file' });
    expect(JSON.parse(await text('server.json'))).toMatchObject({ unreadable: [] });
    store.destroy();
    expect((await readdir(redisData)).sort()).toEqual(['appendonlydir', 'dump.rdb']);
  });

  test('a role that has lost Temporal is unhealthy', async () => {
    const [, check] = compose.services.orchestrator?.healthcheck?.test ?? [];
    const port = Number(temporal.address.split(':')[1]);
    expect(check).toContain(':1C41 '); // 7233
    await expect(runCheck(check as string, port)).resolves.toBe(true);
    await expect(runCheck(check as string, await freePort())).resolves.toBe(false);
  });

  test('a Redis that came up without its users is unhealthy, though it answers', async () => {
    const open = await startRedis();
    await expect(redisIsHealthy(open.port)).resolves.toBe(false);
    await open.stop();
    await expect(redisIsHealthy()).resolves.toBe(true);
  });

  test('the agent’s user reads no key and writes none', async () => {
    const agent = await loggedIn('redis_password', 'rewind');
    for (const command of [
      ['GET', 'key:1'],
      ['DUMP', 'key:1'],
      ['FLUSHALL'],
      ['CONFIG', 'SET', 'save', ''],
      ['KEYS', '*'],
    ]) {
      await expect(agent.call(...(command as [string])), command.join(' ')).rejects.toThrow('NOPERM');
    }
    agent.disconnect();
    const line = codeBlock('docs/DEPLOYMENT.md', 'acl').trim();
    const users = await secret('redis_users');
    expect(users.split('\n')[1]).toContain(line.slice(line.indexOf('-@all')));
  });
});

function service(name: string): ComposeService {
  const found = compose.services[name];
  if (!found) throw new Error(`docker-compose.yml has no service ${name}`);
  return found;
}

async function loggedIn(password: string, username?: string): Promise<Redis> {
  const options = { lazyConnect: true, retryStrategy: () => null };
  const redis = new Redis({ ...options, port: redisPort, username, password: await secret(password) });
  await redis.connect();
  return redis;
}

/** `temporal` and `redis-cli` as the images have them on their PATH. */
function path(): string {
  return [dirname(foundPart('temporal').path), dirname(foundPart('redis').path), process.env.PATH].join(delimiter);
}

async function secret(name: string): Promise<string> {
  return (await readFile(join(secrets, name), 'utf8')).trimEnd();
}

async function copyInto(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
}

async function replaceIn(file: string, replacements: Record<string, string>): Promise<void> {
  const text = Object.entries(replacements).reduce(
    (said, [from, to]) => said.replaceAll(from, to),
    await readFile(file, 'utf8'),
  );
  await run('chmod', ['0644', file]);
  await writeFile(file, text);
}

/** The file's own health check of Redis, which logs in as the agent does. */
async function redisIsHealthy(port = redisPort): Promise<boolean> {
  const [, check = ''] = service('redis').healthcheck?.test ?? [];
  const here = await onThisMachine('redis');
  const command = here(check).replace('redis-cli', `redis-cli -p ${port}`);
  return run('sh', ['-c', command], { env: { PATH: path() } }).then(
    () => true,
    () => false,
  );
}

async function polls(role: string): Promise<boolean> {
  return / polls /.test(await readFile(join(folder.path, `${role}.log`), 'utf8'));
}

/** The roles' health check, looking for a connection to another port than 7233. */
function runCheck(check: string, port: number): Promise<boolean> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return run('sh', ['-c', check.replaceAll(':1C41 ', `:${hex} `)]).then(
    () => true,
    () => false,
  );
}
