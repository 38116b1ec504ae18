import type { Encryption } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { type ArchiveCost, archiveCost } from '../../policy/archive-cost.ts';
import type { ArchivePolicy } from '../../policy/archive-policy.ts';
import { type DataClass, dataClasses } from '../../policy/data-classes.ts';
import { type InstancePolicy, instancesInForce, policyOf } from '../../policy/instance-policy.ts';
import { intervalSeconds, oldestBackup } from '../../policy/schedule-spec.ts';
import { addressOf } from '../../redis/connection.ts';
import { scheduleInWords } from '../../schedules/in-words.ts';
import { nextTimes } from '../../schedules/next-times.ts';

/** What a configuration means, as `plan --json` prints it. */
export interface DeploymentPlan {
  /** The owner of the schedules. */
  readonly deployment: string;
  readonly repository: { readonly url: string; readonly encryption: Encryption };
  readonly instances: Readonly<Record<string, InstancePlan>>;
  readonly notInForce: readonly string[];
}

export interface InstancePlan {
  readonly address: string;
  readonly dataClass: DataClass;
  readonly strategy: string;
  /** `dump-file`: read by the agent beside Redis; `replication`: streamed to the orchestrator. */
  readonly source: 'dump-file' | 'replication';
  readonly from: 'primary' | 'replica';
  /** Who takes the saves. */
  readonly taskQueue: string;
  /** Absent: no backups by themselves. */
  readonly schedule?: {
    readonly inWords: string;
    readonly jitterSeconds: number;
    /** ISO 8601, without the jitter. */
    readonly next: readonly string[];
    /** The longest time between two backups. */
    readonly intervalSeconds: number;
    /** What a run may take from the start of its save to its proof. */
    readonly runSeconds: number;
    /** How old the last proven backup may become: interval, jitter and run. */
    readonly oldestSeconds: number;
  };
  /** Absent: its append-only file is not followed. */
  readonly archive?: ArchivePolicy & { readonly month: ArchiveCost };
  readonly objectives: InstancePolicy['objectives'];
}

const NEXT = 3;

export function planOf(config: LoadedConfig, now: Date): DeploymentPlan {
  const { url, encryption } = config.repository;
  return {
    deployment: config.deployment,
    repository: { url, encryption },
    instances: Object.fromEntries(
      instancesInForce(config).map((name) => [name, instancePlan(config, policyOf(config, name), now)]),
    ),
    notInForce: config.notInForce,
  };
}

function instancePlan(config: LoadedConfig, policy: InstancePolicy, now: Date): InstancePlan {
  const { instance, dataClass, source, topology, hostQueue, schedule, objectives, archive } = policy;
  return {
    address: addressOf({ url: config.instances[instance]?.url ?? '' }),
    dataClass,
    strategy: dataClasses[dataClass].strategy,
    source: source === 'agent' ? 'dump-file' : 'replication',
    from: topology.from,
    taskQueue: hostQueue,
    ...(schedule
      ? {
          schedule: {
            inWords: scheduleInWords(schedule),
            jitterSeconds: schedule.jitterSeconds,
            next: nextTimes(schedule, now, NEXT).map((date) => date.toISOString()),
            intervalSeconds: intervalSeconds(schedule),
            runSeconds: oldestBackup(schedule).runSeconds,
            oldestSeconds: oldestBackup(schedule).totalSeconds,
          },
        }
      : {}),
    ...(archive ? { archive: { ...archive, month: archiveCost(archive) } } : {}),
    objectives,
  };
}
