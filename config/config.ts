import type { z } from 'zod';
import type { instanceSchema } from './instance-schema.ts';
import type { ConfigFile } from './schema.ts';
import type { SecretRef } from './secrets.ts';

type InstanceBlock = z.output<typeof instanceSchema>;

/** Paths of PEM files, absolute. */
export interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface TemporalConfig {
  readonly address?: string;
  readonly namespace?: string;
  readonly apiKey?: SecretRef;
  /** In the form that `@temporalio/envconfig` takes it. */
  readonly tls?: NonNullable<ConfigFile['temporal']>['tls'];
}

export interface RepositoryConfig {
  readonly url: string;
  readonly region?: string;
  readonly endpoint?: string;
  readonly pathStyle: boolean;
  readonly encryption: Encryption;
  readonly tls?: TlsFiles;
}

export interface Encryption {
  readonly sse: 'aws:kms' | 'AES256' | 'none';
  readonly kmsKeyId?: string;
}

export interface InstanceConfig {
  /** `redis://user@host:port`, `rediss://…` or `unix:///path`; never with a password. Absent only where `managed`. */
  readonly url?: string;
  readonly password?: SecretRef;
  readonly tls?: TlsFiles;
  readonly replicas: readonly string[];
  readonly sentinel?: { readonly master: string; readonly addresses: readonly string[]; readonly password?: SecretRef };
  readonly dataClass: InstanceBlock['dataClass'];
  readonly backup: {
    /** One of the two at most; neither: by data class. */
    readonly everySeconds?: number;
    readonly cron?: string;
    readonly from: 'primary' | 'replica';
    readonly rewriteAof: boolean;
    /** 0 to 1, of the last verified backup's keys. */
    readonly flagBelow: number;
    readonly acl: boolean;
  };
  readonly objectives: { readonly rtoSeconds?: number; readonly rpoSeconds?: number };
  readonly retention: InstanceBlock['retention'];
  /** Absent: by data class. */
  readonly archive?: boolean | ArchiveConfig;
  /** Present where the configuration says that an agent stands beside Redis. */
  readonly host?: HostConfig;
  readonly approval: { readonly required: number; readonly timeoutMs: number; readonly excludeStarter: boolean };
  readonly managed?: InstanceBlock['managed'];
  readonly limits: Limits;
}

export interface ArchiveConfig {
  /** Absent: the file where an agent stands beside Redis. */
  readonly from?: 'file' | 'replication';
  readonly segmentBytes: number;
  /** Absent: by the objective. */
  readonly segmentEverySeconds?: number;
  readonly spoolBytes: number;
  readonly keepMomentsSeconds: number;
  readonly onLoss: 'alert' | 'fence';
}

export interface Limits {
  readonly uploadBytesPerSecond?: number;
  readonly restoreKeysPerSecond?: number;
  readonly restoreLatencyMs: number;
}

/** The agent beside Redis and what it may do there. */
export interface HostConfig {
  readonly sandbox: boolean;
  readonly local: HostCopies;
  /** How Redis is stopped and started. */
  readonly service?: ServiceConfig;
  readonly warmUp?: readonly string[];
  /** Absolute. */
  readonly restoreDir?: string;
}

export type ServiceConfig =
  | { readonly systemd: string }
  | { readonly command: { readonly start: readonly string[]; readonly stop: readonly string[] } }
  | { readonly process: { readonly args: readonly string[] } };

/** Dumps kept on the host after they are stored. */
export interface HostCopies {
  readonly keep: number;
  readonly forSeconds: number;
  readonly minFreePercent: number;
}

export interface Timeouts {
  readonly roleSilenceMs: number;
  readonly heartbeatMs: number;
  readonly stepMs: number;
  readonly retryMs: number;
}

/** The configuration with every default in place, paths absolute, durations and sizes as numbers. Holds no secret. */
export interface Config {
  /** Owner of the schedules that this deployment makes. */
  readonly deployment: string;
  /** Absent: a dev server that `rewind up` starts. */
  readonly temporal?: TemporalConfig;
  readonly repository: RepositoryConfig;
  readonly sandbox: { readonly servers?: readonly string[]; readonly maxMemoryBytes: number };
  readonly timeouts: Timeouts;
  readonly instances: Readonly<Record<string, InstanceConfig>>;
}
