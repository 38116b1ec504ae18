import { open, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { dataDigest } from '../support/data-digest.ts';
import { connectTo, fillEveryType } from '../support/dataset.ts';
import { approve, untilAsked } from '../support/flush-incident.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import { missingFlavour, type RedisServer, redisBinary, startRedis } from '../support/servers.ts';

const timeout = 600_000;

describe.skipIf(missingFlavour('redis-6.2'))('the one append-only file of a Redis 6.2 has rotted', () => {
  const config = { appendonly: 'yes', appendfsync: 'always', 'auto-aof-rewrite-percentage': '0' };
  let redis: RedisServer;
  let on: S3Deployment;

  beforeAll(async () => {
    redis = await startRedis({ flavour: 'redis-6.2', config });
    await fillEveryType(redis);
    const started = {
      ...config,
      port: String(redis.port),
      bind: '127.0.0.1',
      dir: redis.dir,
      daemonize: 'yes',
    };
    const args = Object.entries(started).flatMap(([name, value]) => [`--${name}`, value]);
    const start = [redisBinary('redis-6.2'), ...args];
    const stop = [join(dirname(redisBinary()), 'redis-cli'), '-p', String(redis.port), 'shutdown', 'nosave'];
    on = await startOnS3({
      servers: { orders: redis },
      instance: () => ({ host: { service: { command: { start, stop } } } }),
    });
    // Where a server that is down keeps its files is known from its last backup.
    await on.deployment.backup('orders');
  }, timeout);
  afterAll(async () => {
    // The one that the agent started.
    const last = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` }).catch(() => undefined);
    await last?.call('SHUTDOWN', 'NOSAVE').catch(() => undefined);
    await on?.stop();
  }, timeout);

  it('the runbook keeps all up to the last whole command before the damage, and the rotten file stays beside it', {
    timeout,
  }, async () => {
    const live = await connectTo(redis);
    await live.set('the last', 'before the damage');
    const digest = await dataDigest(redis);
    const path = join(redis.dir, 'appendonly.aof');
    const damagedAt = (await readFile(path)).length;
    await live.set('rotten', 'r'.repeat(400));
    await live.set('behind', 'it');
    live.disconnect();
    await redis.kill9();
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(16), 0, 16, damagedAt);
    await file.close();
    const rotten = await readFile(path);

    const run = await on.deployment.client.workflow.start('recoverDataCorruption', {
      taskQueue: 'rewind',
      workflowId: 'data-corruption/orders',
      args: [{ instance: 'orders' }],
    });
    const waiting = await untilAsked(run, undefined, 240_000);
    expect(waiting.gate?.summary).toMatch(new RegExp(`appendonly\\.aof.* is damaged at byte ${damagedAt}`));
    expect(waiting.gate?.choices.map(({ id }) => id)).toContain('aof-until-damage');
    await approve(run, waiting, 'aof-until-damage');
    expect(await run.result()).toMatchObject({ kind: 'data-corruption', recovered: true });

    expect(await dataDigest(redis)).toBe(digest);
    const again = await connectTo(redis);
    expect(await again.info('server')).toContain('redis_version:6.2');
    again.disconnect();
    const [aside] = (await readdir(redis.dir)).filter((name) => name.startsWith('rewind-aside-'));
    expect(await readFile(join(redis.dir, aside ?? '', 'appendonly.aof'))).toEqual(rotten);
  });
});
