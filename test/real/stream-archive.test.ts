import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findMoment } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import { connectRedis } from '../../redis/connection.ts';
import { archiveContext, chainedBytes, instance, readArchive, until } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { type Flavour, missingFlavour, startRedis } from '../support/servers.ts';
import { stream } from '../support/stream.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const binary = Buffer.from('\r\n*1\r\n$4\r\nPING\r\n\0\0#TS:1\r\n*', 'latin1');
const quiet = { signal: new AbortController().signal, onProgress: () => undefined };

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
test.each(flavours.filter((flavour) => !missingFlavour(flavour)))(
  '%s without an append-only file: what was there right before a FLUSHALL comes back from its replication stream',
  async (flavour) => {
    await using folder = await temporaryFolder('stream');
    const config = { 'repl-diskless-sync-delay': '0', 'repl-ping-replica-period': '1', ...debugAllowed(flavour) };
    const server = await startRedis({ flavour, config });
    const redis = await connectRedis({ url: server.url });
    const context = await archiveContext(server, {
      home: join(folder.path, 'home'),
      repository: join(folder.path, 'store'),
    });
    const told: string[] = [];
    const following = stream(context, {}, { onDestructive: ({ command }) => void told.push(command) });
    try {
      await redis.set('before the dump', binary);
      await until('the base', async () => (following.figures()?.bases ?? 0) > 0);
      await redis.set('key', binary);
      await redis.multi().rpush('list', binary, 'second').incr('counter').exec();
      await redis.select(3);
      await redis.eval(
        "redis.call('SET', KEYS[1], ARGV[1]) redis.call('PEXPIRE', KEYS[1], 3600000)",
        1,
        'script',
        binary,
      );
      // What a client that waits for replicas makes of it: a question in the stream that nobody restores, and no answer.
      expect(await redis.call('WAIT', 1, 50)).toBe(0);
      await redis.set('short', 'lived', 'PX', 20);
      await until('the expired key went as a DEL', async () => (await redis.exists('short')) === 0);
      const expected = await dataDigest(server);
      await redis.flushall();
      await redis.set('after', 'the flush');
      const held = await until('the flush is archived', async () => {
        const now = await readArchive(context.repository);
        const all = chainedBytes(now, 1);
        return all.includes('the flush') && now.events.some(({ kind }) => kind === 'destructive') && now;
      });
      expect(held.timelines).toMatchObject([{ timeline: 1, start: 0, why: 'first' }]);
      expect(held.events).toMatchObject([{ kind: 'destructive', command: 'FLUSHALL' }]);
      expect(told).toEqual(['FLUSHALL']);
      expect(await redis.call('WAIT', 1, 50)).toBe(0);
      await following.stop();
      for (const [kind, digest] of [
        ['before-flush', expected],
        ['latest', await dataDigest(server)],
      ] as const) {
        const moment = await findMoment({ repository: context.repository, instance }, { kind });
        const dir = join(folder.path, kind);
        await layDown({ repository: context.repository, instance }, moment, dir, quiet);
        const plain = await startRedis({ flavour, dir, config: { appendonly: 'yes', ...debugAllowed(flavour) } });
        expect(await dataDigest(plain).finally(() => plain.stop())).toEqual(digest);
      }
    } finally {
      redis.disconnect();
      await following.stop().catch(() => undefined);
      await server.stop();
    }
  },
);
