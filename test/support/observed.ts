import type { HostFacts } from '../../check/host-facts.ts';
import type { InstanceView, Observed } from '../../check/observed.ts';
import type { RedisFacts } from '../../check/redis-facts.ts';
import type { SandboxFacts } from '../../check/sandbox-facts.ts';
import { parseConfig } from '../../config/load.ts';
import { policyOf } from '../../policy/instance-policy.ts';

const GB = 1e9;

/** A Redis with nothing to find, as its agent sees it. */
export const healthyRedis: RedisFacts = {
  server: { name: 'redis', version: '7.0.15' },
  topology: {
    mode: 'standalone',
    role: 'primary',
    runId: 'r'.repeat(40),
    processId: 7,
    replication: { id: 'a'.repeat(40), offset: 1 },
    replicas: [],
    failover: 'no-failover',
    minReplicasToWrite: 0,
  },
  clockSkewMs: 12,
  keys: 1_000,
  memory: { usedBytes: 2 * GB, datasetBytes: 1.8 * GB, rssBytes: 2.2 * GB },
  persistence: {
    appendOnly: true,
    savePoints: '',
    stopsWritesOnSaveError: true,
    writesChecksum: true,
    lastSave: 'ok',
    lastAppend: 'ok',
    appendStamps: true,
    appendFsync: 'everysec',
  },
  disablesHugePages: true,
  modules: [],
  dump: { dir: '/var/lib/redis', dbfilename: 'dump.rdb' },
};

export const healthyHost: HostFacts = {
  machine: 'redis-host',
  memory: { totalBytes: 16 * GB, availableBytes: 12 * GB, overcommit: 1, hugePages: 'madvise' },
  dump: {
    dir: '/var/lib/redis',
    readable: true,
    freeBytes: 50 * GB,
    last: { sizeBytes: GB, readable: true, linkable: true },
    holdsRepository: false,
  },
};

export const healthySandbox: SandboxFacts = {
  servers: [{ name: 'redis', version: '7.0.15' }],
  maxMemoryBytes: 8 * GB,
  freeBytes: 100 * GB,
  availableMemoryBytes: 12 * GB,
  machine: 'sandbox-host',
};

/** All that a check knows of an instance with nothing to find; `yaml` adds to its configuration. */
export function healthy(yaml: object = { host: {} }): Observed {
  const config = parseConfig(
    JSON.stringify({
      repository: { url: 's3://backups/redis' },
      instances: { orders: { url: 'redis://rewind@10.0.0.5:6379', ...yaml } },
    }),
    { name: 'test', folder: '/', home: '/' },
  );
  const policy = policyOf(config, 'orders');
  return {
    policy,
    url: 'redis://10.0.0.5:6379',
    user: 'rewind',
    temporal: {
      address: 'temporal.internal:7233',
      namespace: 'default',
      orchestrator: { queue: 'rewind', pollers: 1, answered: true },
      agent: { queue: 'rewind-host-orders', pollers: 1, answered: true },
      sandbox: { queue: 'rewind-sandbox', pollers: 1, answered: true },
      schedule: { id: 'backup/orders', state: 'as-configured' },
    },
    seenBy: 'agent',
    instance: {
      url: 'redis://10.0.0.5:6379',
      redis: healthyRedis,
      rights: [{ rule: 'bgsave', state: 'allowed', needed: true }],
      host: healthyHost,
      identity: { judgement: 'same' },
    },
    probe: {
      written: {
        key: 'probe/orders/1',
        sha256: '0'.repeat(64),
        kind: 's3',
        encryption: { sse: 'aws:kms', kmsKeyId: 'arn:aws:kms:eu-west-1:1:key/2' },
        hasChecksum: true,
        clockSkewMs: 3,
      },
      readings: { orchestrator: { reading: 'same' }, sandbox: { reading: 'same' } },
    },
    sandbox: healthySandbox,
  };
}

/** The same with other answers from Redis, or from its machine. */
export function seeing(
  change: { redis?: Partial<RedisFacts>; host?: Partial<HostFacts> },
  observed = healthy(),
): Observed {
  const view = observed.instance as InstanceView;
  return {
    ...observed,
    instance: {
      ...view,
      redis: { ...(view.redis as RedisFacts), ...change.redis },
      host: { ...view.host, ...change.host },
    },
  };
}
