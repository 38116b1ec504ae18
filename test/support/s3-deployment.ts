import { inject } from 'vitest';
import type { ConfigInput } from '../../config/schema.ts';
import type { Role } from '../../workers/role.ts';
import { type Deployment, startDeployment } from './deployment.ts';
import type { Scene } from './left-as-found.ts';
import { createBucket, type S3Access } from './s3-store.ts';
import type { RedisServer } from './servers.ts';

type RewindConfig = Parameters<Deployment['writeConfig']>[0];

export interface S3Deployment {
  readonly deployment: Deployment;
  /** What its rewind.yaml says, for a test that changes some of it. */
  readonly config: RewindConfig;
  readonly store: Scene['store'];
  scene(instance: string): Scene;
  /** With every Redis. */
  stop(): Promise<void>;
}

type InstanceInput = NonNullable<ConfigInput['instances']>[string];

/** Three workers for these servers, one instance each; by default with a bucket of their own under aws:kms in the suite's MinIO. */
export async function startOnS3(options: {
  servers: Readonly<Record<string, RedisServer>>;
  /** Of each instance, or of the named ones. */
  instance?: (name: string) => InstanceInput;
  timeouts?: ConfigInput['timeouts'];
  /** Instead of the suite's MinIO. */
  store?: S3Access & { readonly bucket: string };
  encryption?: NonNullable<ConfigInput['repository']>['encryption'];
  /** Of a proxy before the store. */
  endpoint?: string;
  temporal?: { address: string };
  /** Default: all. */
  roles?: readonly Role[];
  launch?: Parameters<typeof startDeployment>[0]['launch'];
}): Promise<S3Deployment> {
  const minio = inject('minio');
  const store = { ...(options.store ?? { ...minio, bucket: await createBucket(minio) }), prefix: 'redis' };
  const instances = Object.entries(options.servers).map(([name, { port }]) => [
    name,
    { url: `redis://127.0.0.1:${port}`, ...options.instance?.(name) },
  ]);
  const config: RewindConfig = {
    repository: {
      url: `s3://${store.bucket}/${store.prefix}`,
      endpoint: options.endpoint ?? store.endpoint,
      region: store.region,
      pathStyle: true,
      encryption: options.encryption ?? { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId },
    },
    timeouts: options.timeouts,
    instances: Object.fromEntries(instances),
  };
  const deployment = await startDeployment({
    temporal: options.temporal ?? inject('temporal'),
    env: store.env,
    roles: options.roles,
    launch: options.launch,
    config,
  });
  return {
    deployment,
    config,
    store,
    scene: (instance) => ({ deployment, instance, redis: options.servers[instance] as RedisServer, store }),
    stop: async () => {
      await deployment.stop();
      await Promise.all(Object.values(options.servers).map((server) => server.stop()));
    },
  };
}
