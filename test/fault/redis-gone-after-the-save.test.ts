import { readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ScheduledBackupResult } from '../../workflows/scheduled-backup.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { lookAround } from '../support/left-as-found.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { type SentinelServer, startSentinel } from '../support/sentinel.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { storeGate } from '../support/store-gate.ts';

describe.concurrent('the server is killed -9 between the save and the upload', () => {
  let alone: RedisServer;
  let primary: RedisServer;
  let replica: RedisServer;
  let sentinel: SentinelServer;
  let proxy: S3FaultProxy;
  let on: S3Deployment;

  beforeAll(async () => {
    alone = await startRedis();
    primary = await startRedis();
    replica = await startRedis({ config: { replicaof: `127.0.0.1 ${primary.port}` } });
    await Promise.all([fillEveryType(alone), fillEveryType(primary)]);
    sentinel = await startSentinel({
      primaryPort: primary.port,
      config: ['sentinel down-after-milliseconds main 1000', 'sentinel failover-timeout main 5000'],
    });
    proxy = await startS3FaultProxy(inject('minio').endpoint);
    on = await startOnS3({
      servers: { alone, watched: primary },
      endpoint: proxy.endpoint,
      instance: (name) =>
        name === 'watched' ? { sentinel: { master: 'main', addresses: [`127.0.0.1:${sentinel.port}`] } } : {},
    });
  });
  afterAll(async () => {
    await on?.stop();
    await Promise.all([sentinel?.stop(), replica?.stop(), proxy?.stop()]);
  });

  /** Starts a backup and holds the dump on its way to the store. */
  async function inUpload(instance: string) {
    const gate = storeGate(/dump\.rdb/);
    proxy.fail('PutObject', gate.fault, { key: `/${instance}/` });
    const run = await on.deployment.startBackup(instance);
    await gate.reached;
    return { letGo: gate.open, result: () => run.result() as Promise<ScheduledBackupResult> };
  }

  it('and does not come back: its last dump is stored and proven all the same', async () => {
    const around = await lookAround(on.scene('alone'));
    const { letGo, result } = await inUpload('alone');
    await alone.kill9();
    letGo();
    const { backup } = await result();
    expect(backup).toMatchObject({ state: 'verified' });
    expect(backup.flagged).toBeUndefined();
    await alone.restart();
    await around.nothingIsLeft();
    await fillEveryType(alone);
    await around.nextRunSucceeds();
  });

  it('and its replica is promoted: the old primary’s dump is stored, the next backup is the new one’s', async () => {
    await replicated(primary);
    const { letGo, result } = await inUpload('watched');
    await primary.kill9();
    await promoted(replica);
    letGo();
    expect((await result()).backup).toMatchObject({ state: 'verified' });

    expect(await readdir(primary.dir)).not.toContain('.rewind');
    const around = await lookAround({ ...on.scene('watched'), redis: replica });
    await around.nothingIsLeft();
    await around.nextRunSucceeds();
  });
});

const infoOf = async (server: RedisServer): Promise<string> => {
  const live = await connectTo(server);
  return live.info('replication').finally(() => live.disconnect());
};

async function replicated(server: RedisServer): Promise<void> {
  while (!/state=online/.test(await infoOf(server))) await sleep(50);
}

/** Sentinel cuts every connection when it promotes. */
async function promoted(server: RedisServer): Promise<void> {
  while (!/^role:master/m.test(await infoOf(server).catch(() => ''))) await sleep(50);
}
