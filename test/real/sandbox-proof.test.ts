import { randomUUID } from 'node:crypto';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { judge } from '../../backup/verdict.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { connectRedis } from '../../redis/connection.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { checkLoadedServer } from '../../sandbox/check-loaded.ts';
import { type DumpFacts, factsOf } from '../../sandbox/dump-facts.ts';
import { withLoadedServer } from '../../sandbox/loaded-server.ts';
import { type ProofReport, type ProofSettings, proveStored } from '../../sandbox/prove.ts';
import { inspectSample } from '../../sandbox/sample.ts';
import { chooseServer, findServers, type SandboxServer } from '../../sandbox/servers.ts';
import { connectTo, fillEveryType, fillMegabytes } from '../support/dataset.ts';
import { RdbFile, text } from '../support/rdb-file.ts';
import { missingFlavour, type RedisServer, redisBinary, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const GB = 1e9;
const quiet = { signal: new AbortController().signal, onProgress: () => undefined };

let folder: TemporaryFolder;
let repository: Repository;
let redis: RedisServer;
let facts: DumpFacts;
let key: string;

beforeAll(async () => {
  folder = await temporaryFolder('sandbox-proof');
  repository = await openRepository({ url: pathToFileURL(join(folder.path, 'repository')).href });
  redis = await startRedis();
  await fillEveryType(redis);
  ({ key, facts } = await store(await savedBy(redis)));
});
afterAll(async () => {
  await redis?.stop();
  await folder?.remove();
});

async function savedBy(server: RedisServer): Promise<string> {
  const live = await connectTo(server);
  await live.save().finally(() => live.disconnect());
  return join(server.dir, 'dump.rdb');
}

async function store(path: string) {
  const name = `hourly/orders/20261124T000000Z-${randomUUID().slice(0, 8)}/dump.rdb`;
  const { size } = await stat(path);
  await repository.putFile(name, { path }, { sizeBytes: size });
  return { key: name, facts: factsOf(await inspectRdb({ path })) };
}

async function settings(change: Partial<ProofSettings> = {}): Promise<ProofSettings> {
  const servers = await findServers([redisBinary()]);
  return { workRoot: join(folder.path, 'proofs'), servers, maxMemoryBytes: GB, sampleKeys: 1_000, ...change };
}

async function prove(change: Partial<DumpFacts> = {}, how: Partial<ProofSettings> = {}, of = { key, facts }) {
  const request = { id: 'a-proof', key: of.key, sizeBytes: of.facts.sizeBytes, facts: { ...of.facts, ...change } };
  const report = await proveStored(repository, request, await settings(how), quiet);
  expect(await readdir(join(folder.path, 'proofs'))).toEqual([]);
  return report;
}

const named = (report: ProofReport, name: string) => report.checks.find((check) => check.name === name);

/** What becomes of a backup whose other checks are all right. */
function stateWith({ checks }: ProofReport): string {
  const others = (['ctime', 'crc64', 'resizedb', 'stored'] as const).map((name) => ({
    name,
    result: 'ok' as const,
    detail: '',
  }));
  return judge([...others, ...checks], 1, undefined, 0.5).state;
}

test('a dump that is what it was proves so in each of its checks, and nothing of the proof stays', async () => {
  const report = await prove();
  expect(report.checks.map(({ name, result }) => `${name} ${result}`)).toEqual([
    'sha256 ok',
    'redis-check-rdb ok',
    'load ok',
    'loaded-keys ok',
    'functions ok',
    'sample ok',
  ]);
  expect(facts.functionLibraries).toBe(1);
  expect(named(report, 'sample')?.figures).toMatchObject({ same: facts.keys, differing: 0 });
  expect(stateWith(report)).toBe('verified');
});

describe('a proof contradicts', () => {
  test.each<[string, Partial<DumpFacts>, string, RegExp]>([
    ['bytes that are not those that were saved', { sha256: '0'.repeat(64) }, 'sha256', /SHA-256 differs/],
    ['a key more than the dump was said to hold', { keys: 1 }, 'loaded-keys', /held 1 keys/],
    ['a function library less', { functionLibraries: 2 }, 'functions', /held 2 function libraries.* has 1/],
  ])('%s', async (_what, change, check, says) => {
    const report = await prove(change);
    expect(named(report, check)).toMatchObject({ result: 'contradicted', detail: expect.stringMatching(says) });
    expect(stateWith(report)).toBe('failed');
  });

  test('a dump that no server loads, in words without a key or a value of it', async () => {
    const path = join(folder.path, 'listpack.rdb');
    // A hash whose listpack is no listpack: its checksum is right, so only who reads values can tell.
    const file = new RdbFile(10).aux('redis-ver', '7.0.15').selectDb(0).resizeDb(1, 0);
    await writeFile(path, file.key(16, 'a-private-name', text('not a listpack')).end());
    const of = await store(path);
    const report = await prove({}, {}, of);
    expect(report.checks.find(({ result }) => result === 'contradicted')).toMatchObject({ name: 'redis-check-rdb' });
    expect(JSON.stringify(report)).not.toContain('a-private-name');
    expect(stateWith(report)).toBe('failed');
  });

  test('one value, one library that a loaded server has otherwise: it is seen by content, not by count', async () => {
    const path = await savedBy(redis);
    const sample = await inspectSample({ path }, { count: 1_000, id: 'a-proof', sizeBytes: 0 }, quiet);
    const figures = { loadMs: 1, keysLoaded: facts.keys, keysExpired: 0, emptiedHashes: 0 };
    const copy = await startRedis();
    const live = await connectTo(copy);
    const names = async () => {
      const checks = await checkLoadedServer(live, figures, facts, sample, quiet);
      return checks.filter(({ result }) => result === 'contradicted').map(({ name, detail }) => `${name}: ${detail}`);
    };
    try {
      await live.call('REPLICAOF', '127.0.0.1', redis.port);
      await expect.poll(() => live.info('replication'), { timeout: 30_000 }).toContain('master_link_status:up');
      await live.call('REPLICAOF', 'NO', 'ONE');
      expect(await names()).toEqual([]);
      const string = (await live.keys('*')).sort();
      for (const each of string) {
        if ((await live.type(each)) !== 'string' || (await live.pttl(each)) >= 0) continue;
        await live.append(each, '!');
        break;
      }
      await live.call(
        'FUNCTION',
        'LOAD',
        'REPLACE',
        "#!lua name=demo\nredis.register_function('demo_hello', function() return 'other' end)",
      );
      expect(await names()).toEqual([
        'functions: 1 of 1 function libraries have other code after the load',
        expect.stringMatching(/^sample: 1 of \d+ sampled keys have other content/),
      ]);
    } finally {
      live.disconnect();
      await copy.stop();
    }
  });
});

describe('a proof that cannot be made leaves the backup unproven', () => {
  test.skipIf(missingFlavour('redis-6.2') || missingFlavour('valkey-9'))(
    'no server of that version, or only of the other fork',
    async () => {
      const report = await prove(
        {},
        { servers: await findServers([redisBinary('redis-6.2'), redisBinary('valkey-9')]) },
      );
      expect(named(report, 'load')).toMatchObject({
        result: 'not-possible',
        detail: 'the sandbox has no server that loads a dump of redis 7.0.15',
      });
      expect(stateWith(report)).toBe('unproven');
    },
  );

  test('too little memory, known before the load', async () => {
    const report = await prove({}, { maxMemoryBytes: 1_000 });
    expect(named(report, 'load')).toMatchObject({ result: 'not-possible', detail: /the sandbox may use 1000$/ });
    expect(stateWith(report)).toBe('unproven');
    const machine = await prove({ usedMemoryBytes: 1e15 }, { maxMemoryBytes: 2e15 });
    expect(named(machine, 'load')).toMatchObject({ result: 'not-possible', detail: /the sandbox has \d+ left$/ });
  });

  test('too little memory, seen only while it loads: the server is ended', async () => {
    const large = await startRedis();
    await fillMegabytes(large, 24);
    const of = await store(await savedBy(large));
    await large.stop();
    const report = await prove({ usedMemoryBytes: 0 }, { maxMemoryBytes: 4e6 }, of);
    expect(named(report, 'load')).toMatchObject({ result: 'not-possible', detail: /^the load was ended at \d+ bytes/ });
    expect(stateWith(report)).toBe('unproven');
  });

  test('a format that no server there knows, of a dump whose version says otherwise', async () => {
    const newer = join(folder.path, 'newer.rdb');
    const file = new RdbFile(12).aux('redis-ver', '7.0.15').selectDb(0).resizeDb(1, 0);
    await writeFile(newer, file.key(0, 'a', text('b')).end());
    const report = await prove({}, {}, await store(newer));
    expect(report.checks.map(({ name, result }) => `${name} ${result}`)).toEqual([
      'sha256 ok',
      'redis-check-rdb not-possible',
      'load not-possible',
    ]);
    expect(stateWith(report)).toBe('unproven');
  });

  test('a module that the sandbox’s server has not', async () => {
    const path = join(folder.path, 'module.rdb');
    const file = new RdbFile(10).aux('redis-ver', '7.0.15').selectDb(0).resizeDb(1, 0);
    // Module type 2: its id (nine letters and a version), then opcodes up to the end mark.
    await writeFile(path, file.key(7, 'a-key', [0x81], MODULE_ID, [0x02, 0x05, 0x00]).end());
    const of = await store(path);
    expect(of.facts.modules).toEqual(['test-type']);
    const report = await prove({}, {}, of);
    expect(report.checks.filter(({ result }) => result === 'contradicted')).toEqual([]);
    expect(named(report, 'load')).toMatchObject({
      result: 'not-possible',
      detail: 'the sandbox’s server lacks a module of the dump (test-type)',
    });
    expect(stateWith(report)).toBe('unproven');
  });
});

/** `test-type`, version 1, in six bits a letter, as RM_CreateDataType makes it. */
const MODULE_ID = moduleId('test-type', 1);

function moduleId(name: string, version: number): Buffer {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  let id = 0n;
  for (const letter of name) id = (id << 6n) | BigInt(letters.indexOf(letter));
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE((id << 10n) | BigInt(version));
  return bytes;
}

test('the server of a proof listens on no port, wants its password, keeps nothing, and is gone with the proof', async () => {
  const [server] = await findServers([redisBinary()]);
  const path = await savedBy(redis);
  const limits = { maxMemoryBytes: GB, databases: 16 };
  let socket = '';
  await withLoadedServer(server as SandboxServer, path, limits, quiet, async (result) => {
    if (result.outcome !== 'loaded') throw new Error(result.outcome);
    const config = async (name: string) => ((await result.redis.config('GET', name)) as string[])[1];
    expect(await config('port')).toBe('0');
    expect(await config('save')).toBe('');
    expect(await config('appendonly')).toBe('no');
    socket = (await config('unixsocket')) ?? '';
    expect((await stat(socket)).mode & 0o077).toBe(0);
    await expect(connectRedis({ url: `unix://${socket}` })).rejects.toThrow(/NOAUTH|password|login/i);
    expect(result.figures.keysLoaded).toBe(facts.keys);
  });
  await expect
    .poll(
      () =>
        stat(socket).then(
          () => 'there',
          () => 'gone',
        ),
      { timeout: 15_000 },
    )
    .toBe('gone');
  expect(await stat(path)).toBeTruthy();
});

test('a proof that is cancelled in the middle of its load leaves no server and no file', async () => {
  const large = await startRedis();
  await fillMegabytes(large, 16);
  const of = await store(await savedBy(large));
  await large.stop();
  const cancel = new AbortController();
  const request = { id: 'a-proof', key: of.key, sizeBytes: of.facts.sizeBytes, facts: of.facts };
  const io = {
    signal: cancel.signal,
    onProgress: ({ phase }: { phase?: string }) => phase === 'download' && sleep(0).then(() => cancel.abort()),
  };
  await expect(proveStored(repository, request, await settings(), io as never)).rejects.toThrow();
  expect(await readdir(join(folder.path, 'proofs'))).toEqual([]);
});

test('a dump is given to the oldest server that may load it, never to an older one or to the other fork', () => {
  const server = (name: 'redis' | 'valkey', version: string): SandboxServer => ({ path: `/${version}`, name, version });
  const all = [
    server('valkey', '9.1.2'),
    server('redis', '8.2.3'),
    server('redis', '7.0.15'),
    server('valkey', '8.1.8'),
    server('redis', '6.2.14'),
  ];
  const chosen = (serverName: 'redis' | 'valkey', serverVersion?: string) =>
    chooseServer(all, { serverName, serverVersion })?.version;
  expect(chosen('redis', '6.0.9')).toBe('6.2.14');
  expect(chosen('redis', '7.0.20')).toBe('7.0.15');
  expect(chosen('redis', '7.2.4')).toBe('8.2.3');
  expect(chosen('redis', '8.4.0')).toBeUndefined();
  expect(chosen('valkey', '8.0.1')).toBe('8.1.8');
  expect(chosen('valkey', '9.2.0')).toBeUndefined();
  expect(chosen('redis')).toBe('6.2.14');
});
