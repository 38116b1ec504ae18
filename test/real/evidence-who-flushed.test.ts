import { afterEach, describe, expect, test } from 'vitest';
import { readCommandCounts } from '../../incident/evidence/command-counts.ts';
import { whoFlushed } from '../../incident/evidence/who-flushed.ts';
import { connectRedis } from '../../redis/connection.ts';
import { ReplicaSet } from '../support/replication.ts';
import { type Flavour, missingFlavour } from '../support/servers.ts';

const set = new ReplicaSet();

afterEach(() => set.stop());

describe.each<Flavour>(['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'])('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'a FLUSHALL is dated and its client named by the slow log and the list of clients',
    async () => {
      const { redis, server, url } = await set.start({ flavour, config: { 'slowlog-log-slower-than': '0' } });
      await redis.mset('secret:customer:4711', 'v', 'b', 'v');
      const earlier = await readCommandCounts(redis);
      await redis.call('ACL', 'SETUSER', 'intern', 'on', '>pw-of-intern', '~*', '+@all');
      const intern = await connectRedis({ url: url.replace('//', '//intern@'), password: 'pw-of-intern' });
      set.later(() => intern.disconnect());
      await intern.client('SETNAME', 'cleanup-job');
      const port = /addr=127\.0\.0\.1:(\d+)/.exec(
        String(await intern.call('CLIENT', 'LIST', 'ID', await intern.client('ID'))),
      )?.[1];
      const from = Date.now();
      await intern.call('FLUSHALL', 'ASYNC');
      const evidence = await whoFlushed(redis, { earlier });
      expect(evidence.since).toMatchObject({ calls: { flushall: 1 }, began: 'earlier-reading', since: earlier.at });
      expect(evidence.when.exact).toBe(true);
      expect(Date.parse(evidence.when.earliest ?? '')).toBeLessThanOrEqual(from + 1_000);
      expect(Date.parse(evidence.when.latest)).toBeGreaterThanOrEqual(from - 1_000);
      expect(Date.parse(evidence.when.latest) - Date.parse(evidence.when.earliest ?? '')).toBeLessThan(10_000);
      const bySource = (source: string) => evidence.by.find((suspect) => suspect.source === source);
      expect(bySource('slow-log')).toMatchObject({
        command: 'flushall',
        addr: `127.0.0.1:${port}`,
        name: 'cleanup-job',
        arguments: expect.stringMatching(/^async$/i),
      });
      expect(bySource('client-list')).toMatchObject({
        command: 'flushall',
        addr: `127.0.0.1:${port}`,
        user: 'intern',
        name: 'cleanup-job',
      });
      expect(evidence.sentences.join(' ')).toContain('FLUSHALL once');
      expect(JSON.stringify(evidence)).not.toMatch(/4711|pw-of-intern/);
      expect(server.port).toBeGreaterThan(0);
    },
  );

  test.skipIf(missingFlavour(flavour))(
    'a client that has gone leaves counts and bounds, and the gap is said',
    async () => {
      const { redis, url } = await set.start({ flavour, config: { 'slowlog-log-slower-than': '10000000' } });
      await redis.mset('a', 'v', 'b', 'v');
      const lastSeenAt = (await readCommandCounts(redis)).at;
      const gone = await connectRedis({ url });
      await gone.flushdb();
      gone.disconnect();
      await expect.poll(async () => String(await redis.call('CLIENT', 'LIST')).split('\n').length).toBe(2);
      const evidence = await whoFlushed(redis, { lastSeenAt });
      expect(evidence.when).toMatchObject({
        exact: false,
        earliest: lastSeenAt,
        source: 'the data was last seen then',
      });
      expect(evidence.by).toEqual([]);
      expect(evidence.since.calls).toMatchObject({ flushdb: 1 });
      expect(evidence.unknown.join(' ')).toContain('who it was');
      expect(evidence.unknown.join(' ')).toContain('less than 10000 ms');
    },
  );

  test.skipIf(missingFlavour(flavour))('a user who tried and was refused stands in the ACL log', async () => {
    const { redis, url } = await set.start({ flavour });
    await redis.call('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '+@all', '-flushall', '-swapdb');
    const app = await connectRedis({ url: url.replace('//', '//app@'), password: 'pw' });
    set.later(() => app.disconnect());
    await expect(app.flushall()).rejects.toThrow('NOPERM');
    const evidence = await whoFlushed(redis);
    expect(evidence.by).toMatchObject([{ command: 'flushall', user: 'app', source: 'acl-log', refused: true }]);
    expect(evidence.since.calls.flushall).toBeUndefined();
    expect(evidence.sentences.join(' ')).toContain('was refused (ACL log)');
    expect(evidence.sentences[0]).toContain('no FLUSHALL, FLUSHDB or SWAPDB');
  });

  test.skipIf(missingFlavour(flavour))(
    'counters that were cleared and a restart are noticed, not taken for innocence',
    async () => {
      const { redis, server } = await set.start({ flavour });
      await redis.set('a', 'v');
      await redis.flushall();
      const earlier = await readCommandCounts(redis);
      await redis.config('RESETSTAT');
      const cleared = await whoFlushed(redis, { earlier });
      expect(cleared.since.began).toBe('reset');
      expect(cleared.unknown.join(' ')).toContain('CONFIG RESETSTAT');
      await server.restart();
      const restarted = await whoFlushed(await set.connect(server), { earlier });
      expect(restarted.since).toMatchObject({ began: 'start', restarted: true, calls: {} });
      expect(restarted.unknown.join(' ')).toContain('what ran before the restart');
    },
  );

  test.skipIf(missingFlavour(flavour))('of a DEL the number of keys is told and never a name', async () => {
    const { redis } = await set.start({ flavour, config: { 'slowlog-log-slower-than': '0' } });
    const names = Array.from({ length: 100 }, (_, index) => `secret:${index}`);
    await redis.del(...names);
    await redis.unlink('secret:x');
    const evidence = await whoFlushed(redis);
    const slow = evidence.by.filter(({ source }) => source === 'slow-log');
    expect(slow.map(({ command, keys }) => [command, keys])).toEqual([
      ['del', 100],
      ['unlink', 1],
    ]);
    expect(JSON.stringify(evidence)).not.toContain('secret');
  });
});

test('a user who may not look is told what it did not see', async () => {
  const { redis, url } = await set.start();
  await redis.call('ACL', 'SETUSER', 'watch', 'on', '>pw', '+info', '+time', '+ping');
  await redis.flushall();
  const watch = await connectRedis({ url: url.replace('//', '//watch@'), password: 'pw' });
  set.later(() => watch.disconnect());
  const evidence = await whoFlushed(watch);
  expect(evidence.since.calls).toMatchObject({ flushall: 1 });
  for (const what of ['the slow log', 'the list of clients', 'the ACL log']) {
    expect(evidence.unknown.join('; ')).toContain(`${what}: this user may not read it`);
  }
});

test('a flush inside a script is counted, its client is not named, and that is said', async () => {
  const { redis } = await set.start({ config: { 'slowlog-log-slower-than': '0' } });
  await redis.eval("redis.call('FLUSHALL')", 0);
  const evidence = await whoFlushed(redis);
  expect(evidence.since.calls).toMatchObject({ flushall: 1, eval: 1 });
  expect(evidence.by.filter(({ addr }) => addr !== undefined)).toEqual([]);
  expect(evidence.unknown.join('; ')).toContain('who ran scripts');
});

test('a name that a client gave itself does not break a line of the report', async () => {
  const { redis } = await set.start({ config: { 'slowlog-log-slower-than': '0' } });
  await redis.client('SETNAME', `${'x'.repeat(200)}<b>`);
  await redis.flushall();
  const evidence = await whoFlushed(redis);
  expect(evidence.by[0]?.name?.length).toBe(64);
});
