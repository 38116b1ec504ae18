import type { Config, Encryption, HostCopies, InstanceConfig, Limits, Timeouts } from '../config/config.ts';
import { nearest } from '../config/nearest.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { type ArchivePolicy, archivePolicy } from './archive-policy.ts';
import { type DataClass, dataClasses } from './data-classes.ts';
import { policyDigest } from './digest.ts';
import { oldestBackup, type Schedule, scheduleOf } from './schedule-spec.ts';

/**
 * Everything that a workflow and its steps need to know of one instance. Plain JSON without secrets: no password, nor
 * where one is kept, no user name. It stands in histories, and its digest in every step's input.
 */
export interface InstancePolicy {
  readonly digest: string;
  readonly instance: string;
  readonly dataClass: DataClass;
  /** `agent`: a process of ours may stand beside Redis and read its dump; `replication`: the dump is streamed. */
  readonly source: 'agent' | 'replication';
  /** Task queue of the steps that touch Redis. */
  readonly hostQueue: string;
  /** What the server must be, and who else may be around it (redis/topology.ts judges by it). */
  readonly topology: {
    readonly from: 'primary' | 'replica';
    /** URLs without a login. */
    readonly replicas: readonly string[];
    /** True where Sentinels know the replicas, so that none are named. */
    readonly sentinel: boolean;
  };
  readonly backup: {
    readonly rewriteAof: boolean;
    readonly flagBelow: number;
    readonly includeAcl: boolean;
  };
  readonly host: {
    readonly sandbox: boolean;
    readonly local: HostCopies;
    /** How the agent stops and starts Redis; `none`: it cannot. The commands themselves stay with the agent. */
    readonly service: 'systemd' | 'command' | 'process' | 'none';
    readonly warmUp: boolean;
    readonly restoreDir?: string;
  };
  /** Absent: what it writes is not followed. */
  readonly archive?: ArchivePolicy;
  readonly approval: InstanceConfig['approval'];
  readonly limits: Limits;
  readonly repository: { readonly url: string; readonly encryption: Encryption };
  /** Absent: no backups on a schedule (a cache). */
  readonly schedule?: Schedule;
  readonly objectives: { readonly rtoSeconds: number; readonly rpoSeconds?: number };
  readonly timeouts: Timeouts;
}

/** What an instance without a `host` block has: nothing is left on the host, and it is no sandbox. */
const NO_HOST_BLOCK = { sandbox: false, local: { keep: 0, forSeconds: 7 * 86_400, minFreePercent: 20 } } as const;

/**
 * The policy of one instance.
 *
 * @throws INSTANCE_UNKNOWN with the nearest name, INSTANCE_NOT_REACHED for a managed one without a url
 */
export function policyOf(config: Config, name: string): InstancePolicy {
  const instance = Object.hasOwn(config.instances, name) ? config.instances[name] : undefined;
  if (!instance) throw unknownInstance(config, name);
  if (!instance.url) {
    throw new RewindError(
      'INSTANCE_NOT_REACHED',
      `${name} has no url; managed services are not in force in this version.`,
    );
  }
  const schedule = scheduleFor(instance);
  const objectives = objectivesFor(instance, schedule);
  const source = instance.host || isOnThisMachine(instance.url) ? 'agent' : 'replication';
  if (source === 'replication' && typeof instance.archive === 'object' && instance.archive.from === 'file') {
    throw new RewindError(
      'CONFIG_INVALID',
      `instances.${name}.archive.from is file, and no agent stands beside Redis to read it: give ${name} a host block, or from: replication.`,
    );
  }
  const policy = {
    instance: name,
    dataClass: instance.dataClass,
    source,
    hostQueue: source === 'agent' ? `rewind-host-${name}` : 'rewind',
    topology: {
      from: instance.backup.from,
      replicas: instance.replicas.map(withoutLogin),
      sentinel: instance.sentinel !== undefined,
    },
    backup: {
      rewriteAof: instance.backup.rewriteAof,
      flagBelow: instance.backup.flagBelow,
      includeAcl: instance.backup.acl,
    },
    host: hostFor(instance),
    archive: archivePolicy(instance, source, objectives.rpoSeconds),
    approval: instance.approval,
    limits: instance.limits,
    repository: { url: config.repository.url, encryption: config.repository.encryption },
    schedule,
    objectives,
    timeouts: config.timeouts,
  } as const;
  return { digest: policyDigest(policy), ...policy };
}

/** Names of the instances that can be backed up in this version, as the file orders them. */
export function instancesInForce(config: Config): string[] {
  return Object.keys(config.instances).filter((name) => config.instances[name]?.url);
}

function hostFor({ host }: InstanceConfig): InstancePolicy['host'] {
  const { sandbox, local } = host ?? NO_HOST_BLOCK;
  const [service = 'none'] = Object.keys(host?.service ?? {}) as ('systemd' | 'command' | 'process')[];
  return { sandbox, local, service, warmUp: host?.warmUp !== undefined, restoreDir: host?.restoreDir };
}

function scheduleFor({ backup, dataClass }: InstanceConfig): Schedule | undefined {
  if (backup.cron !== undefined) return scheduleOf({ cron: backup.cron });
  const everySeconds = backup.everySeconds ?? dataClasses[dataClass].backupEverySeconds;
  return everySeconds === undefined ? undefined : scheduleOf({ everySeconds });
}

function objectivesFor({ objectives, dataClass }: InstanceConfig, schedule: Schedule | undefined) {
  const { rtoSeconds, rpo } = dataClasses[dataClass];
  const lastBackup = schedule && oldestBackup(schedule).totalSeconds;
  return {
    rtoSeconds: objectives.rtoSeconds ?? rtoSeconds,
    rpoSeconds: objectives.rpoSeconds ?? (rpo === 'last-backup' ? lastBackup : rpo),
  };
}

/** A loopback address or a socket: whoever reads this configuration stands beside Redis. */
export function isOnThisMachine(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  // Only http and its kin are lower-cased by URL.
  return protocol === 'unix:' || /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/i.test(hostname);
}

function withoutLogin(url: string): string {
  const shown = new URL(url);
  shown.username = '';
  shown.password = '';
  return shown.href;
}

function unknownInstance(config: Config, name: string): RewindError {
  const names = Object.keys(config.instances);
  const meant = nearest(name, names);
  return new RewindError(
    'INSTANCE_UNKNOWN',
    `no instance ${JSON.stringify(name)} is configured${meant ? `, did you mean ${meant}?` : ''}; there ${names.length === 0 ? 'is none' : `are: ${names.join(', ')}`}`,
  );
}
