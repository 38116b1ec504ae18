import type { LoadedConfig } from '../config/load.ts';
import { policyOf } from '../policy/instance-policy.ts';
import { withRedis } from '../redis/connection.ts';
import { readTopology } from '../redis/topology.ts';
import type { ArchiveChange } from '../schedules/archives.ts';
import { redisTarget } from '../workers/instance-context.ts';
import type { CliContext } from './main.ts';

export interface CountedArchive {
  readonly instance: string;
  readonly minReplicasToWrite: number;
}

/**
 * Archives that are about to begin over a replication link where that changes when Redis takes writes: the link counts as a
 * replica for `min-replicas-to-write`, and keeps no copy that a client could be promised.
 */
export async function countedArchives(
  { env, output }: CliContext,
  config: LoadedConfig,
  changes: readonly ArchiveChange[],
): Promise<CountedArchive[]> {
  const counted: CountedArchive[] = [];
  for (const { instance, change } of changes) {
    if (change !== 'start' && change !== 'update') continue;
    if (policyOf(config, instance).archive?.from !== 'replication') continue;
    const asked = await redisTarget(config, instance, env)
      .then((target) => withRedis(target, readTopology))
      .catch((error: Error) => {
        output.log(`${instance}: min-replicas-to-write could not be asked: ${error.message}`);
        return undefined;
      });
    const minReplicasToWrite = asked?.minReplicasToWrite ?? 0;
    if (minReplicasToWrite > 0) counted.push({ instance, minReplicasToWrite });
  }
  return counted;
}

export const countedInWords = ({ instance, minReplicasToWrite }: CountedArchive): string =>
  `${instance} has min-replicas-to-write ${minReplicasToWrite}, and the archive’s replication link counts as one of them: Redis would take writes with one real replica fewer. It acknowledges nothing (WAIT is not changed by it).`;
