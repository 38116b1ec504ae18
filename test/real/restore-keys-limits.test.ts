import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../../process/free-port.ts';
import { type PutKeysCursor, putKeys } from '../../restore/keys/put-keys.ts';
import { Random } from '../../scripts/bench/random.ts';
import { makeCertificates, missingCertificates } from '../support/certificates.ts';
import { digestOf, PutKeysStage, put, puttersOf } from '../support/put-keys.ts';
import { bytes, length, RdbFile, text } from '../support/rdb-file.ts';
import { missingFlavour } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const stage = new PutKeysStage();
afterEach(() => stage.end());

const mebibyte = 1024 * 1024;
const infoOf = async (redis: { info(section: string): Promise<string> }, field: string): Promise<number> =>
  Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(await redis.info('everything'))?.[1]);

test.skipIf(process.platform !== 'linux')(
  'a value of 600 MB is refused by name where no command can carry it, else streamed in little memory',
  async () => {
    const size = 600 * mebibyte;
    const dump = await stage.file('long.rdb');
    const head = new RdbFile(10)
      .selectDb(0)
      .key(0, 'before', text('1'))
      .raw([0], text('the long one'), length(size))
      .end('none');
    const tail = bytes([0], text('after'), text('1'), [255], Buffer.alloc(8));
    const file = await open(dump, 'w');
    await file.write(head.subarray(0, -1), 0, head.length - 1, 0);
    // Zeroes that take no room on the disk.
    await file.write(tail, 0, tail.length, head.length - 1 + size);
    await file.close();
    const target = await stage.side('redis-7.0');
    const task = await stage.task(dump, target);
    let last: PutKeysCursor | undefined;
    const refused = await put(task, { onCursor: (cursor) => void (last = cursor) }).catch((error) => error);
    expect(refused).toMatchObject({
      code: 'RESTORE_VALUE_TOO_LONG',
      details: { offset: head.length - 1 - 5 - 13 - 1, bytes: size + 6, longestArgument: 512 * mebibyte },
    });
    expect(JSON.stringify([refused.message, refused.details])).not.toContain('the long one');
    expect(await target.redis.dbsize()).toBe(1);
    await target.redis.config('SET', 'proto-max-bulk-len', '1gb');
    let peak = 0;
    const figures = await putKeys(task, {
      signal: new AbortController().signal,
      resumeFrom: last,
      onCursor: () => {},
      onProgress: async () => {
        for (const pid of await puttersOf(process.pid)) {
          const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
          peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
        }
      },
    });
    expect(figures).toMatchObject({ restored: 3, byDatabase: { 0: 3 } });
    expect(await target.redis.strlen('the long one')).toBe(size);
    expect(await target.redis.getrange('the long one', size - 3, size)).toBe('\0\0\0');
    expect(peak).toBeGreaterThan(20);
    expect(peak).toBeLessThan(256);
  },
  240_000,
);

test('many keys, all of them in conflict, are put in less than 256 MiB', async () => {
  const source = await stage.source('redis-7.0', 60_000, 61);
  const target = await stage.side('redis-7.0');
  let peak = 0;
  for (const onConflict of ['keep-live', 'take-backup'] as const) {
    await putKeys(await stage.task(source.dump, target, { onConflict }), {
      signal: new AbortController().signal,
      onCursor: () => {},
      onProgress: async () => {
        for (const pid of await puttersOf(process.pid)) {
          const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
          peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
        }
      },
    });
  }
  expect(await digestOf(target)).toBe(await digestOf(source));
  expect(peak).toBeLessThan(256);
}, 120_000);

test('a rate of keys and a rate of bytes are kept', async () => {
  const source = await stage.side('redis-7.0');
  const random = new Random(3);
  for (let i = 0; i < 1200; i++) await source.redis.set(`key:${i}`, random.bytes(1000));
  await source.redis.save();
  const dump = join(source.server.dir, 'dump.rdb');
  for (const limits of [{ keysPerSecond: 400 }, { bytesPerSecond: 400_000 }]) {
    const target = await stage.side('redis-7.0');
    const reached: [at: number, keys: number][] = [];
    const figures = await put(await stage.task(dump, target, { limits }), {
      onCursor: ({ figures: { restored } }) => void reached.push([performance.now(), restored]),
    });
    expect(figures.restored).toBe(1200);
    const [first, ...others] = reached;
    const last = others.at(-1)!;
    // 1200 keys of about 1 kB at 400 a second, or 400 kB a second: three seconds, less what may go ahead.
    expect(last[0] - first![0]).toBeGreaterThan(2000);
    expect(await digestOf(target)).toBe(await digestOf(source));
  }
}, 60_000);

describe('a live server whose memory ends', () => {
  test.each([
    ['is left before it evicts', 'allkeys-lru', 0.9],
    ['that refuses is left at the key that it refused', 'noeviction', undefined],
  ] as const)(
    '%s; with more memory it goes on, and the figures are right',
    async (_name, policy, maxMemoryShare) => {
      const source = await stage.side('redis-7.0');
      const random = new Random(4);
      const sending = source.redis.pipeline();
      for (let i = 0; i < 30_000; i++) sending.set(`key:${i}`, random.bytes(i % 7 === 0 ? 4000 : 400));
      await sending.exec();
      await source.redis.save();
      const config = { maxmemory: '16mb', 'maxmemory-policy': policy };
      const target = await stage.side('redis-7.0', { config });
      const task = await stage.task(join(source.server.dir, 'dump.rdb'), target, { limits: { maxMemoryShare } });
      let last: PutKeysCursor | undefined;
      const full = await put(task, { onCursor: (cursor) => void (last = cursor) }).catch((error) => error);
      expect(full.code).toBe('RESTORE_TARGET_FULL');
      expect(await infoOf(target.redis, 'evicted_keys')).toBe(0);
      const there = await target.redis.dbsize();
      expect(there).toBeGreaterThan(1000);
      expect(last!.figures.restored).toBeLessThanOrEqual(there);
      if (maxMemoryShare !== undefined) {
        expect(await infoOf(target.redis, 'used_memory')).toBeLessThan(16 * mebibyte);
        expect(last!.figures.restored).toBe(there);
      }
      await target.redis.config('SET', 'maxmemory', '0');
      expect(await put(task, { resumeFrom: last })).toMatchObject({ restored: 30_000, kept: 0 });
      expect(await digestOf(target)).toBe(await digestOf(source));
      expect(await infoOf(target.redis, 'evicted_keys')).toBe(0);
    },
    120_000,
  );
});

test('while the live server answers late, less is sent', async () => {
  const source = await stage.source('redis-7.0', 8000, 62);
  const target = await stage.side('redis-7.0');
  // No server answers in a microsecond.
  const limits = { maxLatencyMs: 0.001 };
  let sent = 0;
  const cancel = new AbortController();
  const started = performance.now();
  const result = await put(await stage.task(source.dump, target, { limits }), {
    signal: cancel.signal,
    onCursor: () => {
      sent += 1;
      if (performance.now() - started > 3000) cancel.abort();
    },
  }).catch((error) => error);
  expect(sent).toBeGreaterThan(0);
  // Held off again and again: what takes a fraction of a second otherwise is not done in three.
  expect(result.code).toBe('RESTORE_KEYS_CANCELLED');
}, 60_000);

describe('what the live server refuses', () => {
  test.skipIf(missingFlavour('redis-8.2'))(
    'an encoding that it does not know: the offset and its words, never the key; the keys before it are counted',
    async () => {
      const source = await stage.side('redis-8.2');
      await source.redis.hset('a secret name', 'field', 'value');
      await source.redis.call('HEXPIRE', 'a secret name', '10000', 'FIELDS', '1', 'field');
      await source.redis.save();
      const dump = join(source.server.dir, 'dump.rdb');
      const target = await stage.side('redis-7.0');
      const refused = await put(await stage.task(dump, target)).catch((error) => error);
      expect(refused).toMatchObject({ code: 'RESTORE_KEY_REFUSED', details: { words: 'ERR Bad data format', db: 0 } });
      const at = (await readFile(dump)).indexOf('a secret name');
      expect(refused.details.offset).toBe(at - 2);
      expect(JSON.stringify([refused.message, refused.details])).not.toContain('secret');
    },
  );

  test('a replica, and a user without the right', async () => {
    const source = await stage.source('redis-7.0', 50, 63);
    const replica = await stage.side('redis-7.0', { config: { replicaof: '127.0.0.1 1' } });
    await expect(put(await stage.task(source.dump, replica, { functions: 'none' }))).rejects.toMatchObject({
      code: 'RESTORE_TARGET_REFUSES_WRITES',
      retryable: true,
    });
    const other = await stage.side('redis-7.0');
    await other.redis.call('ACL', 'SETUSER', 'reader', 'on', '>pass', '~*', '+@all', '-restore');
    const task = await stage.task(source.dump, other, { functions: 'none' });
    const target = { url: `redis://reader@127.0.0.1:${other.server.port}`, password: 'pass' };
    await expect(put({ ...task, target })).rejects.toMatchObject({ code: 'RESTORE_TARGET_FORBIDS' });
    expect(await other.redis.dbsize()).toBe(0);
    await expect(put({ ...task, target: { ...target, password: 'no' } })).rejects.toMatchObject({
      code: 'REDIS_REFUSED_LOGIN',
    });
  });
});

test('a unix socket and a password do', async () => {
  const source = await stage.source('redis-7.0', 100, 64);
  const target = await stage.side('redis-7.0', { unixsocket: true, password: 'a pass word'.replaceAll(' ', '-') });
  const task = await stage.task(source.dump, target);
  await put({ ...task, target: { url: `unix://${target.server.socket}`, password: target.server.password } });
  expect(await digestOf(target)).toBe(await digestOf(source));
});

test.skipIf(missingCertificates())('TLS does, long values included', async ({ skip }) => {
  await using certificates = await temporaryFolder('certificates');
  await makeCertificates(certificates.path);
  const tlsPort = await freePort();
  const source = await stage.source('redis-7.0', 500, 65);
  const target = await stage
    .side('redis-7.0', {
      config: {
        'tls-port': String(tlsPort),
        'tls-cert-file': join(certificates.path, 'server.pem'),
        'tls-key-file': join(certificates.path, 'server.key'),
        'tls-ca-cert-file': join(certificates.path, 'ca.pem'),
        'tls-auth-clients': 'no',
      },
    })
    .catch(() => skip('this server has no TLS'));
  const ca = await readFile(join(certificates.path, 'ca.pem'), 'utf8');
  const task = await stage.task(source.dump, target);
  await put({ ...task, target: { url: `rediss://127.0.0.1:${tlsPort}`, tls: { ca } } });
  expect(await digestOf(target)).toBe(await digestOf(source));
});

test('a dump that cannot be sliced is refused with the type and the offset, as the reader says it', async () => {
  const dump = await stage.file('templates.rdb');
  const file = await open(dump, 'w');
  await file.write(new RdbFile(13).selectDb(0).key(0, 'before', text('1')).key(30, 'template', text('x')).end());
  await file.close();
  const target = await stage.side('redis-7.0');
  await expect(put(await stage.task(dump, target))).rejects.toMatchObject({
    code: 'RDB_TYPE_UNKNOWN',
    details: { typeCode: 30 },
  });
});
