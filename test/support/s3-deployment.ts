import { inject } from 'vitest';
import type { ConfigInput } from '../../config/schema.ts';
import type { Role } from '../../workers/role.ts';
import { type Deployment, startDeployment } from './deployment.ts';
import type { Scene } from './left-as-found.ts';
import { createBucket } from './s3-store.ts';
import type { RedisServer } from './servers.ts';

export interface S3Deployment {
  readonly deployment: Deployment;
  readonly store: Scene['store'];
  scene(instance: string): Scene;
  /** With every Redis. */
  stop(): Promise<void>;
}

type InstanceInput = NonNullable<ConfigInput['instances']>[string];

/** Three workers for these servers, one instance each, with a bucket of their own under aws:kms in the suite's MinIO. */
export async function startOnS3(options: {
  servers: Readonly<Record<string, RedisServer>>;
  /** Of each instance, or of the named ones. */
  instance?: (name: string) => InstanceInput;
  timeouts?: ConfigInput['timeouts'];
  /** Of a proxy before the store. */
  endpoint?: string;
  temporal?: { address: string };
  /** Default: all. */
  roles?: readonly Role[];
}): Promise<S3Deployment> {
  const minio = inject('minio');
  const store = { ...minio, bucket: await createBucket(minio), prefix: 'redis' };
  const instances = Object.entries(options.servers).map(([name, { port }]) => [
    name,
    { url: `redis://127.0.0.1:${port}`, ...options.instance?.(name) },
  ]);
  const deployment = await startDeployment({
    temporal: options.temporal ?? inject('temporal'),
    env: minio.env,
    roles: options.roles,
    config: {
      repository: {
        url: `s3://${store.bucket}/${store.prefix}`,
        endpoint: options.endpoint ?? minio.endpoint,
        region: minio.region,
        pathStyle: true,
        encryption: { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId },
      },
      timeouts: options.timeouts,
      instances: Object.fromEntries(instances),
    },
  });
  return {
    deployment,
    store,
    scene: (instance) => ({ deployment, instance, redis: options.servers[instance] as RedisServer, store }),
    stop: async () => {
      await deployment.stop();
      await Promise.all(Object.values(options.servers).map((server) => server.stop()));
    },
  };
}
