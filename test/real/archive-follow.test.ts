import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import {
  archiveContext,
  chainedBytes,
  follow,
  followable,
  latestDigest,
  readArchive,
  rewrittenAndHeld,
  until,
} from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { type Flavour, missingFlavour, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const binary = Buffer.from('\r\n*1\r\n$4\r\nPING\r\n\0\0#TS:1\r\n*', 'latin1');

test('what was written before the host’s folder went is there byte for byte, base and segments, chained', async () => {
  await using home = await temporaryFolder('archive-home');
  await using store = await temporaryFolder('archive-store');
  // Otherwise Redis may write later than it answers, while it waits for a disk.
  const server = await startRedis({ config: { ...followable, appendfsync: 'always' } });
  const redis = await connectRedis({ url: server.url });
  const context = await archiveContext(server, { home: home.path, repository: store.path });
  const following = follow(context, { segmentBytes: 20_000, mostSegmentBytes: 20_000 });
  try {
    await redis.set('before', binary);
    await until('the first base', async () => (following.figures()?.bases ?? 0) > 0);
    for (let i = 0; i < 50; i++) {
      await redis.set(`key:${i}`, Buffer.concat([binary, Buffer.alloc(i * 100, i), binary]));
      await redis.multi().incr('counter').append('text', binary).exec();
    }
    await redis.select(3);
    await redis.set('elsewhere', binary);
    const incr = join(server.dir, 'appendonlydir', 'appendonly.aof.1.incr.aof');
    const base = await readFile(join(server.dir, 'appendonlydir', 'appendonly.aof.1.base.rdb'));
    const written = await readFile(incr);
    await until('all of it is shipped', async () => following.figures()?.position === written.length);
    await rm(server.dir, { recursive: true, maxRetries: 10 });
    const { timelines, segments, bases } = await readArchive(context.repository);
    expect(timelines).toMatchObject([{ timeline: 1, start: 0, why: 'first' }]);
    expect(bases).toMatchObject([{ position: 0, kind: 'rdb', sizeBytes: base.length }]);
    expect(segments.length).toBeGreaterThan(5);
    expect(chainedBytes({ timelines, segments, bases, events: [] }, 1)).toEqual(written);
    expect(segments.some(({ header }) => (header.stamps?.last ?? 0) > 1_700_000_000)).toBe(true);
  } finally {
    redis.disconnect();
    await following.stop();
    await server.stop();
  }
});

const flavours: Flavour[] = ['redis-8.2', 'valkey-8', 'valkey-9'];
test.each(flavours.filter((flavour) => !missingFlavour(flavour)))(
  '%s is followed over a rewrite and started from its archive',
  async (flavour) => {
    await using folder = await temporaryFolder('archive-flavour');
    const server = await startRedis({ flavour, config: { ...followable, ...debugAllowed(flavour) } });
    const redis = await connectRedis({ url: server.url });
    const context = await archiveContext(server, {
      home: join(folder.path, 'home'),
      repository: join(folder.path, 'store'),
    });
    const following = follow(context);
    try {
      await redis.set('before', binary);
      await until('it follows', async () => following.figures()?.state === 'following');
      for (const round of [1, 2]) {
        await redis.hset('hash', `field:${round}`, binary);
        await redis.multi().rpush('list', binary).xadd('stream', '*', 'field', binary).exec();
        await rewrittenAndHeld(redis, server.dir);
      }
      await redis.set('the end', binary);
      await until('all is shipped', async () =>
        (await readArchive(context.repository)).segments.some(({ body }) => Buffer.from(body).includes('the end')),
      );
      const held = await readArchive(context.repository);
      expect(held.events).toEqual([]);
      chainedBytes(held, 1);
      expect(await latestDigest(context, flavour)).toBe(await dataDigest(server));
    } finally {
      redis.disconnect();
      await following.stop();
      await server.stop();
    }
  },
);
