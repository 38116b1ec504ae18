import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { keysOf, readInfo } from '../../redis/info.ts';
import { receiveDump } from '../../redis/psync.ts';
import { requestFullSync } from '../../redis/psync-handshake.ts';
import { PsyncSocket } from '../../redis/psync-socket.ts';
import { type Flavour, missingFlavour, type RedisOptions, type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(options: RedisOptions): Promise<{ server: RedisServer; redis: Redis; url: string }> {
  const server = await startRedis(options);
  undo.push(() => server.stop());
  const url = `redis://127.0.0.1:${server.port}`;
  const redis = await connectRedis({ url, password: options.password });
  undo.push(() => redis.disconnect());
  return { server, redis, url };
}

async function fill(redis: Redis, keys: number): Promise<void> {
  for (let at = 0; at < keys; ) {
    const pipeline = redis.pipeline();
    for (const end = Math.min(keys, at + 5_000); at < end; at++) pipeline.set(`key:${at}`, `${at}`.repeat(20));
    await pipeline.exec();
  }
}

/** Loads the bytes with a server of the same flavour: the strictest reader there is. */
async function loadedKeys(flavour: Flavour, dump: Buffer): Promise<number> {
  const folder = await temporaryFolder('psync');
  undo.push(() => folder.remove());
  await writeFile(join(folder.path, 'dump.rdb'), dump);
  const { redis } = await start({ flavour, dir: folder.path });
  return keysOf(await readInfo(redis, 'keyspace'));
}

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour)).each([
    { form: 'diskless', config: { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': '0' } },
    { form: 'diskless after a delay', config: { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': '2' } },
    { form: 'saved to disk first', config: { 'repl-diskless-sync': 'no', 'repl-diskless-sync-delay': '0' } },
  ])('a dump that comes $form is exactly what a server loads, and nothing stays behind', async ({ form, config }) => {
    const { redis, url } = await start({ flavour, config });
    await fill(redis, 20_000);
    const phases = new Set<string>();
    const dump = await receiveDump({ url }, { onProgress: ({ phase }) => phases.add(phase) });
    const bytes = await buffer(dump.chunks);

    expect(dump.replId).toMatch(/^[0-9a-f]{40}$/);
    expect(dump.server?.name).toBe(flavour.split('-')[0]);
    expect(dump.length).toBe(form === 'saved to disk first' ? bytes.length : undefined);
    expect(bytes.subarray(0, 6).toString('latin1')).toMatch(flavour === 'valkey-9' ? /^VALKEY/ : /^REDIS/);
    expect(bytes.at(-9)).toBe(0xff);
    expect(phases.has('receiving')).toBe(true);
    if (form === 'diskless after a delay') expect(phases.has('saving')).toBe(true);
    await expect.poll(async () => (await readInfo(redis, 'replication')).connected_slaves).toBe('0');
    const clients = String(await redis.client('LIST'));
    expect(clients.split('\n').filter((line) => / flags=[^ ]*S/.test(line))).toEqual([]);
    expect(await loadedKeys(flavour, bytes)).toBe(20_000);
  });

  test.skipIf(missingFlavour(flavour)).each([true, false])(
    'WAIT 1 answers 0 before, while and after a dump is received (rdb-only %s)',
    async (rdbOnly) => {
      const { redis, url } = await start({
        flavour,
        config: { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': '0', 'min-replicas-max-lag': '10' },
      });
      await fill(redis, 50_000);
      const acknowledged: number[] = [];
      const write = async () => {
        await redis.incr('written');
        acknowledged.push(await redis.wait(1, 100));
      };
      await write();
      const dump = await receiveDump({ url }, { rdbOnly });
      let received = 0;
      for await (const chunk of dump.chunks) {
        if (received === 0) {
          // Long enough for two acknowledgements where any are sent.
          for (const end = Date.now() + (rdbOnly ? 500 : 2_500); Date.now() < end || acknowledged.length < 5; )
            await write();
        }
        received += chunk.length;
      }
      await write();
      expect(received).toBeGreaterThan(500_000);
      expect(acknowledged.length).toBeGreaterThan(4);
      expect(Math.max(...acknowledged)).toBe(0);
      expect(dump.rdbOnly).toBe(rdbOnly);
    },
  );
});

// Redis 6.2 does count it from the end of a diskless save until the last byte is read.
test.each(flavours.filter((flavour) => flavour !== 'redis-6.2' && !missingFlavour(flavour)))(
  '%s counts a dump on its way for no replica where min-replicas-to-write asks for one',
  async (flavour) => {
    const { redis, url } = await start({
      flavour,
      config: { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': '0', 'min-replicas-max-lag': '10' },
    });
    await fill(redis, 50_000);
    await redis.config('SET', 'min-replicas-to-write', '1');
    const accepted: string[] = [];
    let first = true;
    for await (const _ of (await receiveDump({ url })).chunks) {
      if (!first) continue;
      first = false;
      for (const end = Date.now() + 1_500; Date.now() < end; await sleep(50)) {
        await redis
          .set('written', '1')
          .then((said) => accepted.push(said))
          .catch(() => {});
      }
    }
    expect(first).toBe(false);
    expect(accepted).toEqual([]);
    await expect(redis.set('written', '1')).rejects.toThrow('NOREPLICAS');
  },
);

test('a client that acknowledges what it read is counted by WAIT: the promise that nobody could keep', async () => {
  const { redis, url } = await start({ config: { 'repl-diskless-sync': 'no' } });
  const socket = await PsyncSocket.open({ url }, { connectTimeoutMs: 5_000, stallTimeoutMs: 5_000 });
  undo.push(() => socket.close());
  const { offset } = await requestFullSync(socket, { url }, () => {});
  await expect.poll(async () => (await readInfo(redis, 'replication')).slave0).toContain('state=online');
  await redis.incr('written');
  expect(await redis.wait(1, 100)).toBe(0);
  socket.send('REPLCONF', 'ACK', String(offset + 1_000_000));
  expect(await redis.wait(1, 1_000)).toBe(1);
});

test('hash field TTLs come from Valkey 9 in its own format, which a client that says no version does not get', async ({
  skip,
}) => {
  const missing = missingFlavour('valkey-9');
  if (missing) skip(missing);
  const { redis, url } = await start({ flavour: 'valkey-9' });
  await redis.hset('session', 'user', '1', 'token', '2');
  await redis.call('HPEXPIRE', 'session', '600000', 'FIELDS', '1', 'token');
  const dump = await receiveDump({ url });
  const bytes = await buffer(dump.chunks);
  expect(bytes.subarray(0, 9).toString()).toBe('VALKEY080');
  expect(await loadedKeys('valkey-9', bytes)).toBe(1);
});

test('a large dump read slowly arrives whole, with bounded memory and no buffer of writes in Redis', async () => {
  const { redis, url } = await start({
    config: {
      'repl-diskless-sync': 'yes',
      'repl-diskless-sync-delay': '0',
      'client-output-buffer-limit': 'replica 1mb 1mb 1',
      'repl-backlog-size': '1mb',
      rdbcompression: 'no',
    },
  });
  await redis.eval("for i=1,300 do redis.call('SET', 'big:'..i, string.rep('x', 200000)) end", 0);
  const writer = setInterval(() => void redis.set(`more:${Math.random()}`, 'y'.repeat(20_000)).catch(() => {}), 5);
  undo.push(() => clearInterval(writer));
  const before = await heldBytes();
  let received = 0;
  let most = 0;
  let replicaBuffers = 0;
  let nextPause = 0;
  for await (const chunk of (await receiveDump({ url })).chunks) {
    received += chunk.length;
    if (received > nextPause) {
      nextPause += 6_000_000;
      await sleep(100);
      most = Math.max(most, (await heldBytes()) - before);
      replicaBuffers = Math.max(replicaBuffers, Number((await readInfo(redis, 'memory')).mem_clients_slaves));
    }
  }
  expect(received).toBeGreaterThan(60_000_000);
  expect(most).toBeLessThan(4_000_000);
  expect(replicaBuffers).toBeLessThan(2_000_000);
});

test.each(['yes', 'no'])(
  'the end of a dump read slowly is not lost when Redis has closed before (diskless %s)',
  async (diskless) => {
    const { redis, url } = await start({
      config: { 'repl-diskless-sync': diskless, 'repl-diskless-sync-delay': '0', rdbcompression: 'no' },
    });
    await redis.eval("for i=1,600 do redis.call('SET', 'big:'..i, string.rep('x', 100000)) end", 0);
    let received = 0;
    // The last megabytes lie in the kernel's buffers while Redis is done with us: an ACK now would have them thrown away.
    for await (const chunk of (await receiveDump({ url })).chunks) {
      received += chunk.length;
      if (received > 52_000_000) await sleep(20);
    }
    expect(received).toBeGreaterThan(60_000_000);
  },
);

test('without rdb-only a server that buffers too much cuts the transfer, and that is said as worth another try', async () => {
  const { redis, url } = await start({
    config: {
      'repl-diskless-sync': 'yes',
      'repl-diskless-sync-delay': '0',
      'client-output-buffer-limit': 'replica 1mb 1mb 1',
      'repl-backlog-size': '16kb',
      rdbcompression: 'no',
    },
  });
  await redis.eval("for i=1,300 do redis.call('SET', 'big:'..i, string.rep('x', 200000)) end", 0);
  const dump = await receiveDump({ url }, { rdbOnly: false });
  const read = async () => {
    let first = true;
    for await (const _ of dump.chunks) {
      if (!first) continue;
      first = false;
      for (let i = 0; i < 100; i++) await redis.set(`more:${i}`, 'y'.repeat(100_000));
      await sleep(2_500);
    }
  };
  await expect(read()).rejects.toMatchObject({ code: 'REDIS_DUMP_INTERRUPTED', retryable: true });
});

test('a Redis killed while it sends ends the dump with an error that is worth another try', async () => {
  const { server, redis, url } = await start({
    config: { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': '0', rdbcompression: 'no' },
  });
  await redis.eval("for i=1,300 do redis.call('SET', 'big:'..i, string.rep('x', 200000)) end", 0);
  const dump = await receiveDump({ url });
  let received = 0;
  const read = async () => {
    for await (const chunk of dump.chunks) {
      if (received === 0) await server.kill9();
      received += chunk.length;
    }
  };
  await expect(read()).rejects.toMatchObject({ code: 'REDIS_DUMP_INTERRUPTED', retryable: true });
  expect(received).toBeLessThan(60_000_000);
});

test('a save whose child is killed ends the dump with an error, never with fewer bytes', async () => {
  const { redis, url } = await start({
    config: {
      'repl-diskless-sync': 'yes',
      'repl-diskless-sync-delay': '0',
      rdbcompression: 'no',
      'rdb-key-save-delay': '20000',
    },
  });
  await redis.eval("for i=1,300 do redis.call('SET', 'big:'..i, string.rep('x', 20000)) end", 0);
  const dump = await receiveDump({ url });
  const read = async () => {
    let first = true;
    for await (const _ of dump.chunks) {
      if (first) await killSaveChild(redis);
      first = false;
    }
  };
  await expect(read()).rejects.toMatchObject({ code: 'REDIS_DUMP_INTERRUPTED' });
});

test('a consumer that stops early or is cancelled leaves no replica and no save behind', async () => {
  const { redis, url } = await start({
    config: { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': '0', rdbcompression: 'no' },
  });
  await redis.eval("for i=1,300 do redis.call('SET', 'big:'..i, string.rep('x', 200000)) end", 0);
  const quiet = async () => {
    await expect.poll(async () => (await readInfo(redis, 'replication')).connected_slaves).toBe('0');
    await expect
      .poll(async () => (await readInfo(redis, 'persistence')).rdb_bgsave_in_progress, { timeout: 10_000 })
      .toBe('0');
  };
  for await (const _ of (await receiveDump({ url })).chunks) break;
  await quiet();

  (await receiveDump({ url })).close();
  await quiet();

  const cancel = new AbortController();
  const dump = await receiveDump({ url }, { signal: cancel.signal });
  const reason = new Error('cancelled by the test');
  const read = async () => {
    for await (const _ of dump.chunks) cancel.abort(reason);
  };
  await expect(read()).rejects.toBe(reason);
  await quiet();
});

test('a cancel while the server prepares the dump ends at once', async () => {
  const { url } = await start({ config: { 'repl-diskless-sync': 'yes', 'repl-diskless-sync-delay': '30' } });
  const cancel = new AbortController();
  const reason = new Error('cancelled by the test');
  const asked = receiveDump({ url }, { signal: cancel.signal, onProgress: () => cancel.abort(reason) });
  await expect(asked).rejects.toBe(reason);
});

/** Memory of buffers that somebody still holds, in bytes. */
async function heldBytes(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let held = Number.POSITIVE_INFINITY;
  // What is collected is given back by a thread beside, which a busy machine may keep waiting: look until it has.
  for (let look = 0; look < 10; look += 1) {
    collect();
    await sleep(20);
    held = Math.min(held, process.memoryUsage().arrayBuffers);
  }
  return held;
}

async function killSaveChild(redis: Redis): Promise<void> {
  const { process_id } = await readInfo(redis, 'server');
  const children = await readFile(`/proc/${process_id}/task/${process_id}/children`, 'utf8');
  for (const pid of children.trim().split(' ')) process.kill(Number(pid), 'SIGKILL');
}
