import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import type { ConfigInput } from '../../config/schema.ts';
import { freePort } from '../../process/free-port.ts';
import { readInfo } from '../../redis/info.ts';
import { connectTo, fillEveryType, slowSaves } from '../support/dataset.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { failureOf } from '../support/failure-of.ts';
import { stepsOf } from '../support/run-steps.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

type InstanceInput = NonNullable<ConfigInput['instances']>[string];

const BACKUP_PASSWORD = 'only-for-this-test';

/** One instance for each way in which a backup may be configured, each with a server of its own. */
const instances = {
  rewritten: { server: { appendonly: 'yes' }, input: { backup: { rewriteAof: true } } },
  rewriting: { server: { appendonly: 'yes' }, input: {} },
  replica: { server: {}, input: { backup: { from: 'replica' } } },
  unnamed: { server: {}, input: {} },
  joined: { server: { 'repl-diskless-sync': 'no' }, input: { password: { env: 'BACKUP_PASSWORD' } } },
  'without-acl': { server: {}, input: { backup: { acl: false } } },
  copied: { server: {}, input: { host: { local: { keep: 1, for: '7d', minFree: '1%' } } } },
  plain: { server: {}, input: {} },
} satisfies Record<string, { server: Record<string, string>; input: Omit<InstanceInput, 'url'> }>;

type Name = keyof typeof instances;
const names = Object.keys(instances) as Name[];

let servers: Record<Name, RedisServer>;
let primary: RedisServer;
let repository: TemporaryFolder;
let deployment: Deployment;
let config: Parameters<Deployment['writeConfig']>[0];

beforeAll(async () => {
  [primary, repository] = await Promise.all([startRedis(), temporaryFolder('repository')]);
  await fillEveryType(primary);
  servers = Object.fromEntries(
    await Promise.all(
      names.map(async (name) => {
        const replicates = name === 'replica' || name === 'unnamed';
        const replicaof: Record<string, string> = replicates ? { replicaof: `127.0.0.1 ${primary.port}` } : {};
        const redis = await startRedis({ config: { ...instances[name].server, ...replicaof } });
        if (!replicates) await fillEveryType(redis);
        return [name, redis];
      }),
    ),
  );
  await withLive(servers.joined, (live) =>
    live.acl('SETUSER', 'backup', 'on', `>${BACKUP_PASSWORD}`, '~*', '&*', '+@all', '-config'),
  );
  const user = (name: Name) => (name === 'joined' ? 'backup@' : '');
  config = {
    repository: { url: pathToFileURL(repository.path).href },
    instances: Object.fromEntries(
      names.map((name) => [
        name,
        { ...instances[name].input, url: `redis://${user(name)}127.0.0.1:${servers[name].port}` },
      ]),
    ),
  };
  deployment = await startDeployment({ temporal: inject('temporal'), env: { BACKUP_PASSWORD }, config });
});
afterAll(async () => {
  await deployment?.stop();
  await Promise.all([primary, ...Object.values(servers ?? {})].map((server) => server?.stop()));
  await repository?.remove();
});

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function withLive<T>(redis: RedisServer, use: (live: Redis) => Promise<T>): Promise<T> {
  const live = await connectTo(redis);
  return use(live).finally(() => live.disconnect());
}

async function connected(redis: RedisServer): Promise<Redis> {
  const live = await connectTo(redis);
  undo.push(() => live.disconnect());
  return live;
}

const fileOf = (name: Name, { id, tier }: { id: string; tier: string }, file: string) =>
  readFile(join(repository.path, tier, name, id, file), 'utf8');

/** Looks at the server the whole time. @returns whether a save and a rewrite were ever under way at once */
function watchForks(live: Redis) {
  let both = false;
  let ended = false;
  const watching = (async () => {
    while (!ended) {
      const info = await readInfo(live, 'persistence');
      both ||= info.rdb_bgsave_in_progress === '1' && info.aof_rewrite_in_progress === '1';
    }
  })();
  return async () => {
    ended = true;
    await watching;
    return both;
  };
}

describe('beside an append-only file', () => {
  const rewrites = async (live: Redis) => Number((await readInfo(live, 'persistence')).aof_rewrites);
  const rewriting = async (live: Redis) => (await readInfo(live, 'persistence')).aof_rewrite_in_progress;

  test('a rewrite is asked for after the save where that is configured, never both at once', async () => {
    const live = await connected(servers.rewritten);
    const before = await rewrites(live);
    const endOfWatch = watchForks(await connected(servers.rewritten));
    expect((await deployment.backup('rewritten')).backup.state).toBe('verified');
    await expect.poll(() => rewriting(live), { timeout: 30_000 }).toBe('0');
    expect(await endOfWatch()).toBe(false);
    expect(await rewrites(live)).toBe(before + 1);
  });

  test('a rewrite that runs when the backup begins is waited for, and none is asked for by default', async () => {
    const live = await connected(servers.rewriting);
    await slowSaves(servers.rewriting, 6);
    await live.bgrewriteaof();
    await expect.poll(() => rewriting(live), { interval: 5, timeout: 30_000 }).toBe('1');
    const before = await rewrites(live);
    await slowSaves(servers.rewriting, 0);
    const endOfWatch = watchForks(await connected(servers.rewriting));
    expect((await deployment.backup('rewriting')).backup.state).toBe('verified');
    expect(await endOfWatch()).toBe(false);
    expect(await rewrites(live)).toBe(before);
  });
});

describe('from a replica', () => {
  const link = async (state: 'up' | 'down') => {
    const live = await connected(servers.replica);
    await expect.poll(() => live.info('replication'), { timeout: 30_000 }).toContain(`master_link_status:${state}`);
    return live;
  };

  test('where the primary is configured: it is refused', async () => {
    expect(await failureOf(await deployment.startBackup('unnamed'))).toMatchObject({ code: 'PREFLIGHT_REFUSED' });
  });

  test('in sync: its dump is verified, and the manifest has the primary’s replication id', async () => {
    await link('up');
    const { backup } = await deployment.backup('replica');
    expect(backup.state).toBe('verified');
    const { replication } = JSON.parse(await fileOf('replica', backup, 'manifest.json'));
    const { master_replid } = await readInfo(await connected(primary), 'replication');
    expect(replication.id).toBe(master_replid);
  });

  test('that has lost its primary: the run is refused before a save, with the reason', async () => {
    await primary.kill9();
    const live = await link('down');
    const saves = async () => (await readInfo(live, 'persistence')).rdb_saves;
    const before = await saves();
    expect(await failureOf(await deployment.startBackup('replica'))).toMatchObject({
      code: 'PREFLIGHT_REFUSED',
      message: expect.stringContaining('master_link_status'),
    });
    expect(await saves()).toBe(before);
  });
});

test('a dump by replication that the server joined to a save begun earlier for another replica is taken anew', async () => {
  const live = await connected(servers.joined);
  await slowSaves(servers.joined, 8);
  const other = await startRedis({ config: { replicaof: `127.0.0.1 ${servers.joined.port}` } });
  undo.push(() => other.stop());
  await expect.poll(() => live.info('replication'), { timeout: 30_000 }).toContain('wait_bgsave');
  // By Redis' clock, which is this machine's.
  const before = Math.floor(Date.now() / 1000);
  const run = await deployment.startBackup('joined');
  const { backup } = await run.result();
  expect(backup.state).toBe('verified');
  const { save, source } = JSON.parse(await fileOf('joined', backup, 'manifest.json'));
  expect(source).toBe('replication');
  expect(Date.parse(save.startedAt) / 1000).toBeGreaterThanOrEqual(before);
  expect((await stepsOf(run)).map(({ step }) => step)).not.toContain('bgsave');
});

test('without the ACL where that is switched off: server.json has no user', async () => {
  const live = await connected(servers['without-acl']);
  await live.acl('SETUSER', 'somebody', 'on', '>a-word', '~*', '+@read');
  const { backup } = await deployment.backup('without-acl');
  const description = await fileOf('without-acl', backup, 'server.json');
  expect(description).not.toContain('somebody');
  expect(JSON.parse(description)).not.toHaveProperty('acl');
});

test('a copy stays on Redis’ host where that is configured: the newest, and the next run removes the older one', async () => {
  const pins = () => readdir(join(servers.copied.dir, '.rewind'));
  const first = (await deployment.backup('copied')).backup;
  expect(await pins()).toEqual([`${first.id}.rdb`]);
  const second = (await deployment.backup('copied')).backup;
  expect(await pins()).toEqual([`${second.id}.rdb`]);
});

describe('without Temporal', () => {
  let elsewhere: string;
  const command = () => deployment.cli('--config', elsewhere, 'backup', 'plain', '--without-temporal', '--json');

  beforeAll(async () => {
    elsewhere = await deployment.writeConfig(config);
    const text = await readFile(elsewhere, 'utf8');
    await writeFile(elsewhere, text.replaceAll(inject('temporal').address, `127.0.0.1:${await freePort()}`));
  });

  test('of two at once one is refused; the other is proven and listed as any other, and leaves nothing', async () => {
    await slowSaves(servers.plain, 4);
    const both = await Promise.all([command(), command()]);
    await slowSaves(servers.plain, 0);
    expect(both.map(({ code }) => code).sort()).toEqual([0, 1]);
    const [taken, refused] = both.sort((a, b) => (a.code ?? 9) - (b.code ?? 9));
    expect(JSON.parse(refused?.stdout ?? '').error.code).toBe('STATE_LOCKED');
    const { backup } = JSON.parse(taken?.stdout ?? '');
    expect(backup.state).toBe('verified');
    expect(await readdir(servers.plain.dir)).not.toContain('.rewind');
    const listed = JSON.parse((await deployment.cli('backups', 'plain', '--json')).stdout).backups;
    expect(listed).toEqual([expect.objectContaining({ id: backup.id, state: 'verified' })]);
  });

  test('an empty dataset ends with exit code 3 and is flagged', async () => {
    await withLive(servers.plain, (live) => live.flushall());
    const empty = await command();
    expect(JSON.parse(empty.stdout).backup.flagged).toContain('empty');
    expect(empty.code).toBe(3);
  });
});
