import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { readInfo } from '../../redis/info.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type Deployment, startDeployment } from '../support/deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

describe('a Redis whose dump file is out of reach: its user may not ask where it is', () => {
  let redis: RedisServer;
  let deployment: Deployment;
  let repository: TemporaryFolder;

  beforeAll(async () => {
    redis = await startRedis();
    await fillEveryType(redis);
    const admin = await connectTo(redis);
    await admin.acl('SETUSER', 'backup', 'on', '>only-for-this-test', '~*', '&*', '+@all', '-config');
    admin.disconnect();
    repository = await temporaryFolder('repository');
    deployment = await startDeployment({
      temporal: inject('temporal'),
      env: { BACKUP_PASSWORD: 'only-for-this-test' },
      config: {
        repository: { url: `file://${repository.path}` },
        instances: { orders: { url: `redis://backup@127.0.0.1:${redis.port}`, password: { env: 'BACKUP_PASSWORD' } } },
      },
    });
  });
  afterAll(async () => {
    await deployment?.stop();
    await redis?.stop();
    await repository?.remove();
  });

  it('is backed up over a replication link and verified; no replica and no file is left', async () => {
    const { backup } = await deployment.backup();
    const live = await connectTo(redis);
    const keys = (await live.dbsize()) + 1; // one key lies in another database
    expect(backup).toMatchObject({ state: 'verified', keys });
    expect((await readInfo(live, 'replication')).connected_slaves).toBe('0');
    live.disconnect();

    const listed = JSON.parse((await deployment.cli('backups', 'orders', '--json')).stdout);
    expect(listed.backups).toHaveLength(1);
    const manifest = fileURLToPath(`file://${repository.path}/${backup.tier}/orders/${backup.id}/manifest.json`);
    const { source, dump, verifications } = JSON.parse(await readFile(manifest, 'utf8'));
    expect(source).toBe('replication');
    expect(dump.sizeBytes).toBe(backup.sizeBytes);
    const names = verifications.map(({ name }: { name: string }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it('is known again by the next run, although the server took a new replication id for the first', async () => {
    const { backup } = await deployment.backup();
    expect(backup.state).toBe('verified');
  });
});
