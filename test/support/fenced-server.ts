import { randomUUID } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Redis } from 'ioredis';
import { expect } from 'vitest';
import type { FenceOrder } from '../../fence/fence-writes.ts';
import type { StepIO } from '../../process/step-io.ts';
import { connectRedis, type RedisTarget } from '../../redis/connection.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { type Flavour, type RedisOptions, type RedisServer, startRedis } from './servers.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** A server with everything that a fence around it needs. */
export interface FencedServer {
  readonly redis: RedisServer;
  readonly port: number;
  readonly target: RedisTarget;
  /** As the default user. */
  readonly admin: Redis;
  readonly repository: Repository;
  /** As an address. */
  readonly repositoryUrl: string;
  readonly order: FenceOrder;
  readonly io: StepIO;
  readonly folder: string;
  /** A connection as a user (of any password where it has none), closed at the end. */
  login(user?: string, password?: string): Promise<Redis>;
  connect(target: RedisTarget): Promise<Redis>;
  /** Lines of ACL LIST as bytes, in an order of their own. */
  aclList(): Promise<string[]>;
  untilBlocked(clients: number): Promise<void>;
  filesOfHome(): Promise<string[]>;
  end(): Promise<void>;
}

export async function fencedServer(flavour: Flavour, options: RedisOptions = {}): Promise<FencedServer> {
  const own = await temporaryFolder('fence');
  const debug: RedisOptions['config'] =
    flavour === 'redis-6.2' ? undefined : { 'enable-debug-command': 'yes', 'enable-module-command': 'yes' };
  const redis = await startRedis({ ...options, flavour, config: { ...debug, ...options.config } });
  const connections: Redis[] = [];
  const target: RedisTarget = { url: `redis://127.0.0.1:${redis.port}` };
  const connect = async (to: RedisTarget) => {
    const connection = await connectRedis(to);
    connections.push(connection);
    return connection;
  };
  const repositoryUrl = pathToFileURL(join(own.path, 'repository')).href;
  const repository = await openRepository({ url: repositoryUrl });
  const home = join(own.path, 'home');
  await mkdir(home, { mode: 0o700 });
  return {
    redis,
    port: redis.port,
    target,
    admin: await connect(target),
    repository,
    repositoryUrl,
    order: {
      repository,
      instance: 'orders',
      fenceId: randomUUID(),
      owner: { workflowId: 'accidental-flush/orders' },
      home,
    },
    io: { signal: new AbortController().signal, onProgress: () => undefined },
    folder: own.path,
    login: (user = 'default', password = 'any') =>
      connect({ url: `redis://${user}@127.0.0.1:${redis.port}`, password }),
    connect,
    aclList: async () => {
      const connection = await connectRedis(target);
      const lines = (await connection.callBuffer('ACL', 'LIST')) as Buffer[];
      connection.disconnect();
      return lines.map((line) => line.toString('latin1')).sort();
    },
    untilBlocked: async (clients) => {
      const asking = connections[0] as Redis;
      await expect
        .poll(async () => /blocked_clients:(\d+)/.exec(await asking.info('clients'))?.[1], { timeout: 30_000 })
        .toBe(String(clients));
    },
    filesOfHome: async () => (await readdir(home, { recursive: true })).filter((name) => name.endsWith('.secret')),
    end: async () => {
      for (const connection of connections) connection.disconnect();
      await redis.stop();
      await own.remove();
    },
  };
}
