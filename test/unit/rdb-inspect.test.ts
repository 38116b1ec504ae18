import { createHash } from 'node:crypto';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RewindError } from '../../errors/rewind-error.ts';
import { ContentDigest } from '../../rdb/content-digest.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { readLeadingAux } from '../../rdb/leading-aux.ts';
import { inChunks } from '../support/rdb-content.ts';
import { i64, length, listpack, lzf, RdbFile, rawId, text } from '../support/rdb-file.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let count = 0;
beforeAll(async () => {
  folder = await temporaryFolder('inspect');
});
afterAll(() => folder.remove());

async function write(file: Uint8Array): Promise<{ path: string }> {
  const path = join(folder.path, `${++count}.rdb`);
  await writeFile(path, file);
  return { path };
}

const savedAt = 1_700_000_000;
const code = `#!lua name=mylib\nredis.register_function('f', function() return 'secret' end)${' '.repeat(70_000)}`;
const moduleId = 0x1234_5678_9abc_def0n;
const file = new RdbFile(11)
  .aux('redis-ver', '7.2.4')
  .aux('ctime', String(savedAt))
  .aux('__proto__', 'odd')
  .raw([245], lzf(code))
  .raw([247], length(moduleId), [2, 2, 5], text('aux'), [0])
  .selectDb(0)
  .resizeDb(5, 2)
  .key(0, 'string', text('value'))
  .expireAt(savedAt * 1000 - 1)
  .key(0, 'gone', text('value'))
  .expireAt(savedAt * 1000 + 1)
  .key(16, 'hash', text(listpack(['f', 'v', 'g', 'x'.repeat(3000)])))
  .key(7, 'module', length(moduleId), [2, 7, 0])
  .key(15, 'stream', length(0), length(0), length(1), length(1), length(0))
  .selectDb(7)
  .resizeDb(1, 0)
  .key(2, 'set', length(2), text('a'), text('b'))
  .end();

describe('what an inspection finds', () => {
  test('counts, versions, checksums, modules and functions, from a path, a descriptor and a stream alike', async () => {
    const source = await write(file);
    const found = await inspectRdb(source);
    expect(found).toMatchObject({
      magic: 'REDIS',
      version: 11,
      sizeBytes: file.length,
      sha256: createHash('sha256').update(file).digest('hex'),
      crc: 'ok',
      databases: [
        { db: 0, keys: 5, keysWithExpiry: 2, resizeDbKeys: 5, resizeDbExpires: 2 },
        { db: 7, keys: 1, keysWithExpiry: 0, resizeDbKeys: 1, resizeDbExpires: 0 },
      ],
      keys: 6,
      keysExpiredAtSave: 1,
      resizeDbMatches: true,
      types: { string: 2, hash: 1, stream: 1, set: 1 },
      scripts: 0,
      largestKeyOffset: file.indexOf('hash') - 11,
      undecodableCount: 1,
      functions: [
        { engine: 'lua', name: 'mylib', bytes: code.length, sha256: createHash('sha256').update(code).digest('hex') },
      ],
    });
    expect(found.aux).toMatchObject({ 'redis-ver': '7.2.4', ctime: String(savedAt) });
    expect(Object.entries(found.aux)).toContainEqual(['__proto__', 'odd']);
    expect(found.modules).toEqual([{ name: found.undecodable[0]!.type, keys: 1, aux: 1 }]);
    expect(found.undecodable[0]).toMatchObject({ typeCode: 7, offset: file.indexOf('module') - 2 });
    expect(found.largestValueBytes).toBeGreaterThan(3000);
    expect(JSON.stringify(found)).not.toContain('secret');

    const handle = await open(source.path);
    expect(await inspectRdb({ fd: handle.fd })).toEqual(found);
    expect((await handle.stat()).size).toBe(file.length);
    await handle.close();
    for (const chunk of [1, 1000, file.length]) expect(await inspectRdb(inChunks(file, chunk))).toEqual(found);
  });

  test('a database that holds another number of keys than it claims is told', async () => {
    const { resizeDbMatches, keys } = await inspectRdb(
      await write(new RdbFile(11).selectDb(0).resizeDb(3, 0).key(0, 'k', text('v')).end()),
    );
    expect([resizeDbMatches, keys]).toEqual([false, 1]);
  });

  test('a dump without databases, one before RESIZEDB and cached scripts of old servers', async () => {
    expect(await inspectRdb(await write(new RdbFile(11).end()))).toMatchObject({
      databases: [],
      keys: 0,
      resizeDbMatches: true,
      largestValueBytes: 0,
      largestKeyOffset: -1,
    });
    const old = new RdbFile(6).raw([250], text('lua'), text('return 1')).selectDb(0).key(0, 'k', text('v')).end();
    const { scripts, aux, databases } = await inspectRdb(await write(old));
    expect([scripts, aux, databases]).toEqual([1, {}, [{ db: 0, keys: 1, keysWithExpiry: 0 }]]);
  });

  test('decoding finds damage that a walk without a checksum cannot', async () => {
    const damaged = await write(new RdbFile(11).key(16, 'h', text(listpack(['f', 'v', 'g']))).end('disabled'));
    expect((await inspectRdb(damaged)).keys).toBe(1);
    await expect(inspectRdb(damaged, { decode: true })).rejects.toMatchObject({ code: 'RDB_CORRUPT' });
  });
});

describe('a sample', () => {
  const keys = 300;
  const many = (() => {
    const built = new RdbFile(11).selectDb(2);
    for (let i = 0; i < keys; i++) {
      if (i % 3 === 0) built.expireAt(1000 * (i + 1));
      built.key(2, `key:${i}`, length(2), text(`a${i}`), text('b'));
    }
    return built.end();
  })();

  test('holds distinct keys with digests of their content and their byte ranges, the same ones for the same seed', async () => {
    const source = await write(many);
    const { sample } = await inspectRdb(source, { sample: { count: 20, seed: 5 } });
    expect(sample).toHaveLength(20);
    expect(new Set(sample!.map(({ key }) => String(key))).size).toBe(20);
    for (const { key, type, db, digest, expireAtMs, start, end } of sample!) {
      expect(Buffer.isBuffer(key)).toBe(true);
      const i = Number(String(key).slice(4));
      const expected = new ContentDigest();
      expected.begin('set');
      for (const member of ['b', `a${i}`]) expected.text(Buffer.from(member));
      expect([type, db, expireAtMs]).toEqual(['set', 2, i % 3 === 0 ? 1000 * (i + 1) : undefined]);
      expect(digest).toBe(expected.end(expireAtMs));
      expect(many.subarray(start, end).includes(key)).toBe(true);
      expect(many[start]).toBe(i % 3 === 0 ? 252 : 2);
    }
    expect((await inspectRdb(source, { sample: { count: 20, seed: 5 } })).sample).toEqual(sample);
    expect((await inspectRdb(source, { sample: { count: 20, seed: 6 } })).sample).not.toEqual(sample);
  });

  test('may be larger than the dump, and leaves out what expires too soon', async () => {
    const source = await write(many);
    expect((await inspectRdb(source, { sample: { count: 1000, seed: 1 } })).sample).toHaveLength(keys);
    const later = await inspectRdb(source, { sample: { count: 1000, seed: 1, aliveAt: 150_000 } });
    expect(later.sample).toHaveLength(keys - 50);
    expect(later.keys).toBe(keys);
  });

  test('says how much of a stream its digest covers', async () => {
    const stream = (type: number, more: number) =>
      [type, `stream ${type}`, length(0), ...Array.from({ length: 3 + more }, () => length(1)), length(0)] as const;
    const built = new RdbFile(11)
      .key(...stream(15, 0))
      .key(...stream(19, 5))
      .key(...stream(21, 5));
    const { sample } = await inspectRdb(await write(built.end()), { sample: { count: 9, seed: 1 } });
    expect(sample!.map(({ typeCode, streamDetail }) => [typeCode, streamDetail])).toEqual([
      [15, 1],
      [19, 2],
      [21, 3],
    ]);
  });

  test('passes over modules: no server tells their content', async () => {
    const { sample } = await inspectRdb(await write(file), { sample: { count: 100, seed: 1 } });
    expect(sample!.map(({ type }) => type).sort()).toEqual(['hash', 'set', 'stream', 'string', 'string']);
  });
});

describe('an inspection that fails', () => {
  const failure = async (work: Promise<unknown>): Promise<RewindError> => {
    const error = await work.then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toBeInstanceOf(RewindError);
    return error;
  };

  test('brings its code, its sentence and its offset over from the process that read', async () => {
    const damaged = Buffer.from(file);
    damaged[file.length - 20]! ^= 1;
    const error = await failure(inspectRdb(await write(damaged)));
    expect(error.code).toBe('RDB_CHECKSUM_WRONG');
    expect(error.next).not.toBe('');
    const cut = await failure(inspectRdb(await write(file.subarray(0, 100))));
    expect([cut.code, cut.details.offset]).toEqual(['RDB_TRUNCATED', 100]);
  });

  test('over a type that is not known says all that storing needs', async () => {
    const unknown = new RdbFile(15).key(33, 'rate', i64(5)).end();
    const expected = {
      sizeBytes: unknown.length,
      sha256: createHash('sha256').update(unknown).digest('hex'),
      crc: 'ok',
    };
    for (const source of [await write(unknown), inChunks(unknown, 7)]) {
      const error = await failure(inspectRdb(source));
      expect(error.code).toBe('RDB_TYPE_UNKNOWN');
      expect(error.details).toMatchObject({ ...expected, offset: 9, typeCode: 33, name: 'GCRA' });
    }
  });

  test('over a file that is not there is worth trying again', async () => {
    const error = await failure(inspectRdb({ path: join(folder.path, 'missing.rdb') }));
    expect([error.code, error.retryable]).toEqual(['RDB_READ_FAILED', true]);
    expect((await failure(inspectRdb({ path: folder.path }))).code).toBe('RDB_READ_FAILED');
  });

  test('over a stream that breaks hands on what broke it', async () => {
    async function* broken() {
      yield file.subarray(0, 50);
      throw new Error('the link is gone');
    }
    await expect(inspectRdb(broken())).rejects.toThrow('the link is gone');
  });

  test('leaves a stream that nobody can understand instead of reading it to its end', async () => {
    let given = 0;
    let closed = false;
    async function* endless() {
      try {
        yield Buffer.from('no dump at all');
        for (;;) {
          given++;
          yield Buffer.alloc(100_000);
          await sleep(1);
        }
      } finally {
        closed = true;
      }
    }
    expect((await failure(inspectRdb(endless()))).code).toBe('RDB_NOT_A_DUMP');
    await sleep(50);
    expect(closed).toBe(true);
    expect(given).toBeLessThan(2000);
  });

  test('when it is cancelled ends at once, before and in the middle', async () => {
    const aborted = AbortSignal.abort();
    expect((await failure(inspectRdb(await write(file), { signal: aborted }))).code).toBe('RDB_CANCELLED');
    const controller = new AbortController();
    async function* slow() {
      yield file.subarray(0, 50);
      controller.abort();
      await sleep(60_000, undefined, { ref: false });
    }
    expect((await failure(inspectRdb(slow(), { signal: controller.signal }))).code).toBe('RDB_CANCELLED');
  });
});

test('the event loop runs on while a dump is read, and progress is told up to the end', async () => {
  const part = new RdbFile(11).selectDb(0);
  const megabyte = text('x'.repeat(1 << 20));
  for (let i = 0; i < 100; i++) part.key(0, `k${i}`, megabyte);
  const source = await write(part.end());
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  const told: number[] = [];
  const { sizeBytes } = await inspectRdb(source, {
    decode: true,
    onProgress: (done, total) => told.push(done / total),
  });
  clearInterval(timer);
  expect(sizeBytes).toBeGreaterThan(100 << 20);
  expect(ticks).toBeGreaterThan(5);
  expect(told.at(-1)).toBe(1);
  expect(told).toEqual([...told].sort((a, b) => a - b));
});

describe('the head of a dump', () => {
  test('is read without looking further', async () => {
    const damaged = Buffer.concat([file.subarray(0, 200), Buffer.alloc(8000, 0x99)]);
    expect(await readLeadingAux(await write(damaged))).toMatchObject({ 'redis-ver': '7.2.4', ctime: String(savedAt) });
  });

  test('of what is no dump, or less than a head, is an error', async () => {
    await expect(readLeadingAux(await write(Buffer.from('something else')))).rejects.toMatchObject({
      code: 'RDB_NOT_A_DUMP',
    });
    await expect(readLeadingAux(await write(Buffer.from('REDIS')))).rejects.toMatchObject({ code: 'RDB_TRUNCATED' });
  });
});

test('ids of streams keep all their 64 bits', async () => {
  const largest = (1n << 64n) - 1n;
  const built = (seq: bigint) =>
    new RdbFile(11)
      .key(
        15,
        's',
        length(1),
        text(rawId(largest, seq)),
        text(listpack([1, 0, 0, 0, 2, 0, 0, 3])),
        length(1),
        length(largest),
        length(seq),
        length(0),
      )
      .end();
  const digest = async (seq: bigint) =>
    (await inspectRdb(await write(built(seq)), { sample: { count: 1, seed: 1 } })).sample![0]!.digest;
  expect(await digest(largest)).not.toBe(await digest(largest - 1n));
});
