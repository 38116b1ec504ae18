import { RewindError } from '../errors/rewind-error.ts';
import { policyOf } from '../policy/instance-policy.ts';
import { withRedis } from '../redis/connection.ts';
import { type EnabledAof, enableAof, enabledInWords, hasPartsOfAof } from '../redis/enable-aof.ts';
import { wantedArchives } from '../schedules/archives.ts';
import { redisTarget } from '../workers/instance-context.ts';
import type { EffectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';

/** Switches the append-only file on at every server whose archive is on. @throws AOF_NOT_ENABLED, ARCHIVE_NOT_POSSIBLE */
export async function enableArchivedFiles(
  { output, signal, env }: CliContext,
  { config }: EffectiveConfig,
): Promise<Record<string, EnabledAof>> {
  const enabled: Record<string, EnabledAof> = {};
  for (const { instance } of wantedArchives(config)) {
    if (policyOf(config, instance).archive?.from === 'replication') continue;
    output.log(`${instance}: switching the append-only file on (class ${policyOf(config, instance).dataClass})`);
    const target = await redisTarget(config, instance, env);
    enabled[instance] = await withRedis(target, async (redis) => {
      if (!(await hasPartsOfAof(redis))) {
        throw new RewindError('ARCHIVE_NOT_POSSIBLE', `${instance} keeps its append-only file in one piece.`);
      }
      return enableAof(redis, { signal, onProgress: () => undefined });
    });
    output.log(`${instance}: ${enabledInWords(enabled[instance])}`);
  }
  return enabled;
}
