import { link, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { type LoadedConfig, loadConfig } from '../../config/load.ts';
import type { ConfigInput } from '../../config/schema.ts';
import { withRedis } from '../../redis/connection.ts';
import { readInfo } from '../../redis/info.ts';
import { type Minio, startMinio } from '../../test/support/minio.ts';
import { type RedisServer, redisBinary, startRedis } from '../../test/support/servers.ts';
import { startTemporal, type Temporal } from '../../test/support/temporal.ts';
import { type TemporaryFolder, temporaryFolder } from '../../test/support/temporary-folder.ts';
import { openInstance } from '../../workers/instance-context.ts';
import { fillServer } from './dataset.ts';

/** The instance's name in every configuration of the bench. */
export const INSTANCE = 'bench';

/** A server that holds the mixed data set, and the dump that it wrote of it. */
export interface MixedSet {
  readonly redis: RedisServer;
  readonly path: string;
  readonly sizeBytes: number;
  readonly keys: number;
}

/** The real servers that benchmarks run against: each started when it is first asked for, all ended together. */
export class Stage {
  readonly #keys: number;
  readonly #started: Promise<{ stop(): Promise<unknown> }>[] = [];
  #mixed: Promise<MixedSet> | undefined;
  #minio: Promise<Minio> | undefined;
  #temporal: Promise<Temporal> | undefined;
  #folder: Promise<TemporaryFolder> | undefined;

  constructor(options: { keys: number }) {
    this.#keys = options.keys;
  }

  /** That were asked for. */
  get keys(): number {
    return this.#keys;
  }

  mixedSet(): Promise<MixedSet> {
    return (this.#mixed ??= this.#fill());
  }

  minio(): Promise<Minio> {
    return (this.#minio ??= this.#keep(startMinio()).then((minio) => {
      // Repositories take credentials the way that they do in earnest: from the environment.
      Object.assign(process.env, minio.env);
      return minio;
    }));
  }

  temporal(): Promise<Temporal> {
    return (this.#temporal ??= this.#keep(startTemporal()));
  }

  redis(): Promise<RedisServer> {
    // A peer that takes its dump by replication is not made to wait for more replicas.
    return this.#keep(startRedis({ config: { 'repl-diskless-sync-delay': '0' } }));
  }

  async folder(): Promise<string> {
    this.#folder ??= temporaryFolder('bench');
    return (await this.#folder).path;
  }

  /** A configuration of one instance, with the bucket of our MinIO under aws:kms as its repository. */
  async config(redis: RedisServer): Promise<Omit<ConfigInput, 'temporal'>> {
    const { bucket, endpoint, region, kmsKeyId } = await this.minio();
    return {
      repository: {
        url: `s3://${bucket}/rewind`,
        endpoint,
        region,
        pathStyle: true,
        encryption: { sse: 'aws:kms', kmsKeyId },
      },
      instances: { [INSTANCE]: { url: `redis://127.0.0.1:${redis.port}`, dataClass: 'cache' } },
    };
  }

  /** A rewind.yaml of the instance, with more of its keys, and the home of an agent that reads it. */
  async instanceFile(
    redis: RedisServer,
    more: Partial<NonNullable<ConfigInput['instances']>[string]>,
  ): Promise<{ path: string; home: string }> {
    const home = await this.folder();
    const path = join(home, 'instance.yaml');
    const { instances, ...config } = await this.config(redis);
    const instance = { ...instances?.[INSTANCE], dataClass: 'audit-log' as const, ...more };
    await writeFile(path, stringify({ ...config, instances: { [INSTANCE]: instance } }));
    return { path, home };
  }

  /** What a worker of the instance reads from that configuration, and what its steps have in their hands. */
  async worker(redis: RedisServer): Promise<{ config: LoadedConfig; context: InstanceContext; home: string }> {
    const home = await this.folder();
    process.env.NODE_COMPILE_CACHE ??= join(home, 'compile-cache');
    const path = join(home, 'rewind.yaml');
    await writeFile(path, stringify({ sandbox: { servers: [redisBinary()] }, ...(await this.config(redis)) }));
    const config = await loadConfig({ path, env: process.env, cwd: home });
    return { config, context: await openInstance({ config, env: process.env, home })({ instance: INSTANCE }), home };
  }

  async close(): Promise<void> {
    for (const started of this.#started.reverse()) await (await started.catch(() => undefined))?.stop();
    await (await this.#folder)?.remove();
  }

  async #fill(): Promise<MixedSet> {
    const redis = await this.redis();
    process.stderr.write(`a data set of ${this.#keys} keys of every type is made, from a fixed seed\n`);
    await fillServer(redis.port, { keys: this.#keys });
    await save(redis);
    const path = join(redis.dir, 'mixed.rdb');
    await link(join(redis.dir, 'dump.rdb'), path);
    return { redis, path, sizeBytes: (await stat(path)).size, keys: this.#keys };
  }

  #keep<T extends { stop(): Promise<unknown> }>(starting: Promise<T>): Promise<T> {
    this.#started.push(starting);
    return starting;
  }
}

/** A bare BGSAVE; answers how many seconds it took. */
export function save(redis: RedisServer): Promise<number> {
  return withRedis({ url: redis.url }, async (connection) => {
    const since = performance.now();
    await connection.bgsave();
    while ((await readInfo(connection, 'persistence')).rdb_bgsave_in_progress !== '0') await sleep(20);
    return (performance.now() - since) / 1000;
  });
}
