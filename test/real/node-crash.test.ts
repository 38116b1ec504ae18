import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

describe('Redis was killed -9', () => {
  let redis: RedisServer;
  let on: S3Deployment;
  let digest: string;

  beforeAll(async () => {
    redis = await startRedis({ config: debugAllowed() });
    await fillEveryType(redis);
    on = await startOnS3({
      servers: { orders: redis },
      instance: () => ({
        host: {
          service: {
            process: {
              args: [
                '--port',
                String(redis.port),
                '--bind',
                '127.0.0.1',
                '--dir',
                redis.dir,
                '--save',
                '',
                '--enable-debug-command',
                'local',
              ],
            },
          },
        },
      }),
    });
    await on.deployment.backup('orders');
    digest = await dataDigest(redis);
  });
  afterAll(async () => {
    // The one that the agent started.
    const last = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` }).catch(() => undefined);
    await last?.call('SHUTDOWN', 'NOSAVE').catch(() => undefined);
    await on?.stop();
  });

  it('is started again from its own file where no other copy is better, and the loss is told as two times', async () => {
    const live = await connectTo(redis);
    await live.save();
    live.disconnect();
    await redis.kill9();
    const { stdout, stderr, code } = await on.deployment.cli('runbook', 'node-crash', 'orders', '--json');
    expect(stderr).not.toContain('waits for a person');
    expect(JSON.parse(stdout)).toMatchObject({ instance: 'orders', kind: 'node-crash', recovered: true });
    expect(code).toBe(0);
    expect(await dataDigest(redis)).toBe(digest);
  });
});
