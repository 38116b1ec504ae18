import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { openRepository } from '../../repository/open.ts';
import { readArchive, until } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let server: RedisServer;
let on: Deployment;

beforeAll(async () => {
  folder = await temporaryFolder('ship-stream');
  server = await startRedis({
    // A replica more than there are: with the archive's link Redis takes writes.
    config: { 'repl-diskless-sync-delay': '0', 'min-replicas-to-write': '1', ...debugAllowed() },
  });
  on = await startDeployment({
    temporal: inject('temporal'),
    config: {
      repository: { url: pathToFileURL(join(folder.path, 'store')).href },
      // No host, and an address that no rule takes for this machine: nobody stands beside it.
      instances: { orders: { url: `redis://127.1:${server.port}`, archive: { segmentEvery: '200ms' } } },
    },
    roles: ['orchestrator', 'sandbox'],
  });
});
afterAll(async () => {
  await on?.stop();
  await server?.stop();
  await folder?.remove();
});

test('without an agent and an append-only file: apply asks for a yes where the link counts, and a FLUSHALL is undone', async () => {
  const refused = await on.cli('apply');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/ARCHIVE_COUNTS_AS_REPLICA|counts as one of them/);
  const applied = await on.cli('apply', '--yes');
  expect(applied.stdout, applied.stderr).toContain('archives: 1 started');

  const repository = await openRepository({ url: pathToFileURL(join(folder.path, 'store')).href, pathStyle: false });
  await until('the base', async () => (await readArchive(repository)).bases.length > 0);
  const redis = await connectRedis(server);
  await until('Redis takes writes', async () => redis.set('counted', '1').catch(() => false));
  for (let i = 0; i < 100; i++) await redis.set(`key:${i}`, Buffer.alloc(100, i));
  const expected = await dataDigest(server);
  await redis.flushall();
  await until('the flush is an event', async () => (await readArchive(repository)).events.length > 0);

  const into = join(folder.path, 'restored');
  const restored = await on.cli('restore', 'orders', '--without-temporal', '--to', 'before-flush', '--into', into);
  expect(restored.code, restored.stderr).toBe(0);
  const plain = await startRedis({ dir: into, config: { appendonly: 'yes', ...debugAllowed() } });
  expect(await dataDigest(plain).finally(() => plain.stop())).toBe(expected);

  await until('status has its figures', async () => {
    const { archive } = JSON.parse((await on.cli('status', '--json')).stdout).instances.orders;
    return archive?.state === 'following' && archive.timeline === 1;
  });
  redis.disconnect();
});
