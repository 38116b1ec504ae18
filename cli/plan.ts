import { inWords as encryptionInWords } from '../repository/stored-comparison.ts';
import { temporalAddress } from '../workers/temporal-connection.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { type DeploymentPlan, planOf } from './plan/deployment-plan.ts';
import { instanceLines } from './plan/instance-text.ts';
import { changeText, type SchedulesSeen, seeSchedules } from './plan/schedule-changes.ts';
import { labelled, wrap } from './wrap.ts';

/** What the configuration means, and what `apply` would do. Changes nothing; Temporal may be down. */
export async function plan(context: CliContext): Promise<ExitCode> {
  const effective = await effectiveConfig(context);
  const deployment = planOf(effective.config, new Date());
  const seen = await seeSchedules(effective);
  await seen.close();
  if (seen.unknown) context.output.log(seen.unknown);
  context.output.answer(planText(deployment, seen, temporalAddress(effective.temporal)), {
    ...deployment,
    schedules: seen.document,
  });
  return 0;
}

export function planText(
  { deployment, repository, instances, notInForce }: DeploymentPlan,
  seen: SchedulesSeen,
  temporal: { address: string; namespace: string },
): string {
  const parts = [
    `repository ${repository.url}\n${labelled('encryption', encryptionInWords(repository.encryption))}`,
    ...Object.entries(instances).map(([name, instance]) => instanceLines(name, instance).join('\n')),
    [
      `schedules of ${deployment}`,
      labelled('Temporal', `${temporal.address}, namespace ${temporal.namespace}`),
      ...(seen.unknown ? [wrap(seen.unknown, 2)] : seen.changes.map(changeText)),
      ...(!seen.unknown && seen.changes.length === 0 ? ['  none'] : []),
    ].join('\n'),
    ...(notInForce.length > 0 ? [notInForce.join('\n')] : []),
  ];
  return parts.join('\n\n');
}
