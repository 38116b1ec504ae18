import { RewindError } from '../errors/rewind-error.ts';
import { applyArchives, archivesInWords, planArchives, wantedArchives } from '../schedules/archives.ts';
import { applySchedules } from '../schedules/reconcile.ts';
import { registerSearchAttributes } from '../workers/register-search-attributes.ts';
import { temporalAddress } from '../workers/temporal-connection.ts';
import { countedArchives, countedInWords } from './counted-archives.ts';
import { effectiveConfig } from './effective-config.ts';
import { enableArchivedFiles } from './enable-aof.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { planOf } from './plan/deployment-plan.ts';
import { seeSchedules } from './plan/schedule-changes.ts';
import { planText } from './plan.ts';

/** Makes the plan so, which is shown first. Twice the same changes nothing the second time. */
export async function apply(
  context: CliContext,
  options: { enableAof?: boolean; yes?: boolean } = {},
): Promise<ExitCode> {
  const effective = await effectiveConfig(context);
  const deployment = planOf(effective.config, new Date());
  const seen = await seeSchedules(effective);
  try {
    const { client, changes } = seen;
    if (!client) throw new RewindError('TEMPORAL_UNREACHABLE', seen.unknown ?? '');
    context.output.log(planText(deployment, seen, temporalAddress(effective.temporal)));
    context.output.log('');
    await registerSearchAttributes(client);
    const wanted = wantedArchives(effective.config);
    const archives = await planArchives(client, effective.config.deployment, wanted);
    const counted = await countedArchives(context, effective.config, archives);
    for (const each of counted) context.output.log(countedInWords(each));
    if (counted.length > 0 && !options.yes) {
      throw new RewindError('ARCHIVE_COUNTS_AS_REPLICA', counted.map(countedInWords).join(' '));
    }
    await applySchedules(client, effective.config.deployment, changes);
    const aof = options.enableAof ? await enableArchivedFiles(context, effective) : undefined;
    await applyArchives(client, effective.config.deployment, wanted, archives);
    const done = (kind: string) => changes.filter(({ change }) => change === kind).length;
    const [created, updated, removed, kept] = ['create', 'update', 'remove', 'keep'].map(done);
    const text =
      created || updated || removed
        ? `schedules: ${created} created, ${updated} updated, ${removed} removed, ${kept} as they were`
        : `schedules: nothing to change, ${kept} as they were`;
    const lines = [text, archivesInWords(archives)].filter((line) => line !== undefined);
    context.output.answer(lines.join('\n'), { ...deployment, schedules: seen.document, archives, aof });
    return 0;
  } finally {
    await seen.close();
  }
}
