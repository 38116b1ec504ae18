import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { startDeployment } from '../support/deployment.ts';
import { type Flavour, missingFlavour, type RedisServer, redisBinary, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const flavours: readonly Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];

describe.each(flavours)('a stored dump of %s', (flavour) => {
  it.skipIf(missingFlavour(flavour))('loaded by hand gives the DEBUG DIGEST of its quiet source', async () => {
    // Before 7.0 DEBUG is always allowed, and the setting not known.
    const config: Record<string, string> = flavour === 'redis-6.2' ? {} : { 'enable-debug-command': 'local' };
    await using repository = await temporaryFolder('repository');
    const source = await startRedis({ flavour, config });
    await fillEveryType(source);
    const deployment = await startDeployment({
      temporal: inject('temporal'),
      config: {
        repository: { url: `file://${repository.path}` },
        sandbox: { servers: [redisBinary(flavour)] },
        instances: { orders: { url: `redis://127.0.0.1:${source.port}` } },
      },
    });
    let copy: RedisServer | undefined;
    try {
      const { backup } = await deployment.backup();
      expect(backup.state).toBe('verified');
      await using folder = await temporaryFolder('by-hand');
      const stored = join(repository.path, backup.tier, 'orders', backup.id, 'dump.rdb');
      await copyFile(stored, join(folder.path, 'dump.rdb'));
      copy = await startRedis({ flavour, config, dir: folder.path });
      expect(await digestOf(copy)).toBe(await digestOf(source));
    } finally {
      await copy?.stop();
      await deployment.stop();
      await source.stop();
    }
  });
});

async function digestOf(server: RedisServer): Promise<unknown> {
  const redis = await connectTo(server);
  try {
    const digest = await redis.call('DEBUG', 'DIGEST');
    expect(digest).toMatch(/^[0-9a-f]{40}$/);
    expect(digest).not.toMatch(/^0+$/);
    return digest;
  } finally {
    redis.disconnect();
  }
}
