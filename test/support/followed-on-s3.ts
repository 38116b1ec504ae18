import { expect } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { readArchive } from './archive.ts';
import { dataDigest, debugAllowed } from './data-digest.ts';
import { fillEveryType } from './dataset.ts';
import { type S3Deployment, startOnS3 } from './s3-deployment.ts';
import { type RedisServer, startRedis } from './servers.ts';

/** A write stands in the file before it is answered: what a killed process wrote is the kernel's. */
const settings = {
  ...debugAllowed(),
  appendonly: 'yes',
  appendfsync: 'no',
  'aof-timestamp-enabled': 'yes',
  'auto-aof-rewrite-percentage': '0',
};

/** Nothing of it is on the disk of its machine. */
const inMemory = { ...debugAllowed(), appendonly: 'no', 'repl-diskless-sync-delay': '0' };

/** A Redis with something of every type that its agent can start, and that is followed into S3 as `orders`. */
export interface FollowedOnS3 {
  readonly redis: RedisServer;
  readonly on: S3Deployment;
  readonly repository: Repository;
  /** Until the archive has these bytes. */
  shipped(text: string): Promise<void>;
  /** Writes, with the last of it shipped. @returns the digest of what the server holds then */
  write(last: string): Promise<string>;
  /** With the server that the agent started. */
  stop(): Promise<void>;
}

/** However busy the machine is, in ms. */
const patienceMs = 240_000;

export async function startFollowedOnS3(from: 'file' | 'replication' = 'file'): Promise<FollowedOnS3> {
  const config = from === 'file' ? settings : inMemory;
  const redis = await startRedis({ config });
  await fillEveryType(redis);
  const started = { ...config, port: String(redis.port), bind: '127.0.0.1', dir: redis.dir, save: '' };
  const args = Object.entries(started).flatMap(([name, value]) => [`--${name}`, value]);
  const on = await startOnS3({
    servers: { orders: redis },
    // A busy machine is no dead agent: following begins anew with each that is taken for one.
    timeouts: { heartbeat: '10s', roleSilence: '5m' },
    instance: () => ({ archive: { from, segmentEvery: '1s' }, host: { service: { process: { args } } } }),
  });
  Object.assign(process.env, on.store.env);
  const repository = await openRepository(on.config.repository as Parameters<typeof openRepository>[0]);
  const ship = await on.deployment.client.workflow.start('shipAof', {
    taskQueue: 'rewind',
    workflowId: 'ship-aof/orders',
    args: [{ instance: 'orders' }],
  });
  const shipped = (text: string) =>
    expect
      .poll(async () => (await readArchive(repository)).segments.some(({ body }) => Buffer.from(body).includes(text)), {
        timeout: patienceMs,
        interval: 1_000,
      })
      .toBe(true);
  return {
    ...{ redis, on, repository, shipped },
    write: async (last) => {
      const live = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` });
      for (let i = 0; i < 200; i++) await live.multi().incr('counter').rpush('list', `${last}:${i}\r\n`).exec();
      // The list's elements begin like the last write, and are shipped before it.
      const end = `${last}, whole`;
      await live.set('last', end);
      live.disconnect();
      await shipped(end);
      return dataDigest(redis);
    },
    stop: async () => {
      await ship.terminate();
      const last = await connectRedis({ url: `redis://127.0.0.1:${redis.port}` }).catch(() => undefined);
      await last?.call('SHUTDOWN', 'NOSAVE').catch(() => undefined);
      await on.stop();
    },
  };
}
