import { createHash } from 'node:crypto';
import { totalmem } from 'node:os';
import { resolve as resolvePath } from 'node:path';
import type { Config, InstanceConfig, TemporalConfig, TlsFiles } from './config.ts';
import { defaultRepositoryUrl } from './defaults.ts';
import type { ConfigFile } from './schema.ts';
import type { SecretRef } from './secrets.ts';
import type { Path } from './yaml-source.ts';

/** What the file alone does not say. */
export interface Surroundings {
  /** Folder that relative paths are meant from: the one of the file. */
  readonly folder: string;
  /** The state folder. */
  readonly home: string;
  /** Where a value stands, for later messages: "rewind.yaml:9:15: instances.orders.password". */
  readonly describe: (path: Path) => string;
}

type InstanceBlock = ConfigFile['instances'][string];
type Parsed = { env: string } | { file: string };

/** Puts the defaults in place that a schema cannot know, and makes paths absolute. */
export function resolveConfig(file: ConfigFile, around: Surroundings): Config {
  const url = trimSlash(file.repository.url ?? defaultRepositoryUrl(around.home));
  const { region, endpoint, pathStyle, encryption, tls } = file.repository;
  return {
    // Stable for as long as the repository is the same, whatever process asks.
    deployment: file.deployment ?? `rewind-${createHash('sha256').update(url).digest('hex').slice(0, 12)}`,
    temporal: file.temporal && temporalOf(file.temporal, around),
    repository: {
      url,
      region,
      endpoint,
      pathStyle,
      encryption: encryption ?? { sse: url.startsWith('s3:') ? 'aws:kms' : 'none' },
      tls: tlsOf(tls, around),
    },
    sandbox: {
      servers: file.sandbox.servers?.map((path) => resolvePath(around.folder, path)),
      maxMemoryBytes: file.sandbox.maxMemory ?? Math.floor(totalmem() / 2),
    },
    timeouts: {
      roleSilenceMs: file.timeouts.roleSilence * 1_000,
      heartbeatMs: file.timeouts.heartbeat * 1_000,
      stepMs: file.timeouts.step * 1_000,
      retryMs: file.timeouts.retry * 1_000,
    },
    instances: Object.fromEntries(
      Object.entries(file.instances).map(([name, block]) => [name, instanceOf(block, ['instances', name], around)]),
    ),
  };
}

function instanceOf(block: InstanceBlock, path: Path, around: Surroundings): InstanceConfig {
  const { backup, objectives, host, sentinel, approval } = block;
  return {
    url: block.url,
    password: secretOf(block.password, [...path, 'password'], around),
    tls: tlsOf(block.tls, around),
    replicas: block.replicas,
    sentinel: sentinel && {
      ...sentinel,
      password: secretOf(sentinel.password, [...path, 'sentinel', 'password'], around),
    },
    dataClass: block.dataClass,
    backup: {
      everySeconds: backup.every,
      cron: backup.cron,
      from: backup.from,
      rewriteAof: backup.rewriteAof,
      flagBelow: backup.flagBelow,
      acl: backup.acl,
    },
    objectives: { rtoSeconds: objectives.rto, rpoSeconds: objectives.rpo },
    retention: block.retention,
    archive: archiveOf(block.archive),
    host: host && {
      sandbox: host.sandbox,
      local: { keep: host.local.keep, forSeconds: host.local.for, minFreePercent: host.local.minFree },
      service: host.service,
      warmUp: host.warmUp,
      restoreDir: host.restoreDir && resolvePath(around.folder, host.restoreDir),
    },
    approval: {
      required: approval.required,
      timeoutMs: approval.timeout * 1_000,
      excludeStarter: approval.excludeStarter,
    },
    managed: block.managed,
    limits: {
      uploadBytesPerSecond: block.limits.uploadBytesPerSecond,
      restoreKeysPerSecond: block.limits.restoreKeysPerSecond,
      restoreLatencyMs: block.limits.restoreLatency * 1_000,
    },
  };
}

function archiveOf(block: InstanceBlock['archive']): InstanceConfig['archive'] {
  if (block === undefined || typeof block === 'boolean') return block;
  const { from, segmentBytes, segmentEvery, spool, keepMoments, onLoss } = block;
  return {
    ...(from === undefined ? {} : { from }),
    segmentBytes,
    segmentEverySeconds: segmentEvery,
    spoolBytes: spool,
    keepMomentsSeconds: keepMoments,
    onLoss,
  };
}

function temporalOf(block: NonNullable<ConfigFile['temporal']>, around: Surroundings): TemporalConfig {
  const { tls } = block;
  const pem = (file: { path: string } | undefined) => file && { path: resolvePath(around.folder, file.path) };
  return {
    address: block.address,
    namespace: block.namespace,
    apiKey: secretOf(block.apiKey, ['temporal', 'apiKey'], around),
    tls: tls && {
      ...tls,
      serverCACert: pem(tls.serverCACert),
      clientCert: pem(tls.clientCert),
      clientKey: pem(tls.clientKey),
    },
  };
}

function tlsOf(tls: TlsFiles | undefined, around: Surroundings): TlsFiles | undefined {
  const absolute = (path: string | undefined) => path && resolvePath(around.folder, path);
  return tls && { ca: absolute(tls.ca), cert: absolute(tls.cert), key: absolute(tls.key) };
}

function secretOf(ref: Parsed | undefined, path: Path, around: Surroundings): SecretRef | undefined {
  if (!ref) return undefined;
  const at = around.describe(path);
  return 'env' in ref ? { env: ref.env, at } : { file: resolvePath(around.folder, ref.file), at };
}

const trimSlash = (url: string): string => url.replace(/\/+$/, '');
