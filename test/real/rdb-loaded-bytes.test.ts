import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { inspectRdb } from '../../rdb/inspect.ts';
import { connectRedis } from '../../redis/connection.ts';
import { readLiveKey } from '../../redis/live-content.ts';
import { boundarySizes, compressible, encodingCases, incompressible } from '../support/rdb-encoding-cases.ts';
import { RdbFile } from '../support/rdb-file.ts';
import { type Flavour, missingFlavour, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const cases = encodingCases({ long: compressible(4000), random: incompressible(70_000), sizes: boundarySizes });

/** What each server reads: everything up to its own version, of its own family or from before the two parted. */
const servers: [Flavour, 'REDIS' | 'VALKEY', number][] = [
  ['redis-6.2', 'REDIS', 9],
  ['redis-7.0', 'REDIS', 10],
  ['valkey-8', 'REDIS', 11],
  ['redis-8.2', 'REDIS', 12],
  ['valkey-9', 'VALKEY', 80],
];

test.each(servers)(
  '%s loads files built byte by byte and tells the content that the reader tells',
  async (flavour, magic, version) => {
    if (missingFlavour(flavour)) return;
    const loadable = cases.filter(
      ([, since, family, , , expected]) =>
        expected !== undefined &&
        since <= (magic === 'VALKEY' && family === 'REDIS' ? 11 : version) &&
        (family === 'REDIS' || family === magic),
    );
    // A server drops what is empty, without a word.
    const kept = loadable.filter(([, , , , , expected]) => (expected as unknown[]).length > 0 || expected === '');
    expect(kept.length).toBeGreaterThan(15);
    const file = new RdbFile(version, magic).selectDb(0);
    for (const [name, , , type, value] of kept) file.key(type, name, value);
    const folder = await temporaryFolder('loaded-bytes');
    await writeFile(join(folder.path, 'dump.rdb'), file.end());
    const aliveAt = Date.now();
    const { sample } = await inspectRdb(
      { path: join(folder.path, 'dump.rdb') },
      { sample: { count: 1000, seed: 1, aliveAt } },
    );
    expect(sample).toHaveLength(kept.length);
    const server = await startRedis({ flavour, dir: folder.path });
    try {
      const redis = await connectRedis({ url: server.url });
      const different: string[] = [];
      for (const { key, digest, streamDetail } of sample!) {
        const live = await readLiveKey(redis, 0, key, { streamDetail, aliveAt });
        if (live.state !== 'present' || live.digest !== digest) different.push(`${key}: ${live.state}`);
      }
      redis.disconnect();
      expect(different).toEqual([]);
    } finally {
      await server.stop();
      await folder.remove();
    }
  },
);
