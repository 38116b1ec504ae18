import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { failureOf } from '../support/failure-of.ts';
import { lookAround } from '../support/left-as-found.ts';
import { stepsOf } from '../support/run-steps.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

describe('the server and the configuration behind a name', () => {
  let redis: RedisServer;
  let other: RedisServer;
  let on: S3Deployment;

  beforeAll(async () => {
    [redis, other] = await Promise.all([startRedis(), startRedis()]);
    await Promise.all([fillEveryType(redis), fillEveryType(other)]);
    on = await startOnS3({ servers: { orders: redis } });
    await on.deployment.backup('orders');
  });
  afterAll(async () => {
    await on?.stop();
    await other?.stop();
  });

  async function restartHost(env: NodeJS.ProcessEnv = {}): Promise<void> {
    await on.deployment.kill9('host');
    await on.deployment.start('host', env);
  }

  it('a restart is no other server: it has a new replication id and is backed up as before', async () => {
    await withLive(redis, (live) => live.save());
    await redis.restart();
    await (await lookAround(on.scene('orders'))).nextRunSucceeds();
  });

  it('a restore in place is no other server: a dump of another lineage at the old address is backed up', async () => {
    await withLive(redis, (live) => live.flushall());
    await redis.restart();
    await fillEveryType(redis);
    await (await lookAround(on.scene('orders'))).nextRunSucceeds();
  });

  it('another server under the same name is refused before anything is saved', async () => {
    const around = await lookAround(on.scene('orders'));
    const aroundOther = await lookAround({ ...on.scene('orders'), redis: other });
    const REWIND_CONFIG = await on.deployment.writeConfig({
      ...on.config,
      instances: { orders: { url: `redis://127.0.0.1:${other.port}` } },
    });
    await restartHost({ REWIND_CONFIG });
    const run = await on.deployment.startBackup('orders');
    expect(await failureOf(run)).toMatchObject({
      code: 'IDENTITY_REFUSED',
      message: expect.stringContaining(`127.0.0.1:${other.port}`),
    });
    expect((await stepsOf(run)).map(({ step }) => step)).not.toContain('bgsave');
    await aroundOther.nothingIsLeft();

    await restartHost();
    await around.nextRunSucceeds();
  });

  it('a host agent with another rewind.yaml refuses and shows both digests', async () => {
    const around = await lookAround(on.scene('orders'));
    const REWIND_CONFIG = await on.deployment.writeConfig({
      ...on.config,
      instances: { orders: { url: `redis://127.0.0.1:${redis.port}`, limits: { uploadBytesPerSecond: 1_000_000 } } },
    });
    await restartHost({ REWIND_CONFIG });
    const failure = await failureOf(await on.deployment.startBackup('orders'));
    expect(failure).toMatchObject({ code: 'POLICY_MISMATCH' });
    const digests = new Set(failure.message.match(/\b[0-9a-f]{16}\b/g));
    expect(digests.size).toBe(2);
    await around.nothingIsLeft();

    await restartHost();
    await around.nextRunSucceeds();
  });
});

async function withLive<T>(redis: RedisServer, use: (live: Awaited<ReturnType<typeof connectTo>>) => Promise<T>) {
  const live = await connectTo(redis);
  return use(live).finally(() => live.disconnect());
}
