import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { keysOf, readInfo } from '../../redis/info.ts';
import { type RedisOptions, type RedisServer, startRedis } from './servers.ts';

/** A server of a test with a connection to it. */
export interface Node {
  readonly server: RedisServer;
  readonly redis: Redis;
  readonly url: string;
  /** `host:port`, as other servers name it. */
  readonly address: string;
}

/** Servers of one test, in a chain or a star; `stop` ends them all. */
export class ReplicaSet {
  readonly #undo: (() => unknown)[] = [];

  async start(options: RedisOptions = {}): Promise<Node> {
    const server = await startRedis({ ...options, config: { 'repl-diskless-sync-delay': '0', ...options.config } });
    this.#undo.push(() => server.stop());
    return {
      server,
      redis: await this.connect(server),
      url: `redis://127.0.0.1:${server.port}`,
      address: `127.0.0.1:${server.port}`,
    };
  }

  /** A replica of `primary`, in sync. */
  async replica(primary: Node, options: RedisOptions = {}): Promise<Node> {
    const node = await this.start({
      ...options,
      config: { replicaof: `127.0.0.1 ${primary.server.port}`, ...options.config },
    });
    await untilSynced(primary.redis, node.redis);
    return node;
  }

  /** A new connection, as after a restart. */
  async connect(server: RedisServer): Promise<Redis> {
    const redis = await connectRedis({ url: `redis://127.0.0.1:${server.port}`, password: server.password });
    this.#undo.push(() => redis.disconnect());
    return redis;
  }

  later(step: () => unknown): void {
    this.#undo.push(step);
  }

  async stop(): Promise<void> {
    for (const step of this.#undo.splice(0).reverse()) await step();
  }
}

/** The link is up and every key of the primary is there. */
export async function untilSynced(primary: Redis, replica: Redis): Promise<void> {
  const keys = async (redis: Redis) => keysOf(await readInfo(redis, 'keyspace'));
  await expect
    .poll(async () => (await replica.info('replication')).includes('master_link_status:up'), { timeout: 30_000 })
    .toBe(true);
  await expect.poll(() => keys(replica), { timeout: 30_000 }).toBe(await keys(primary));
}
