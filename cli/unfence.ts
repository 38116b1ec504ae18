import { join } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import type { UnfenceReport } from '../fence/unfence-writes.ts';
import { unfenceWrites } from '../fence/unfence-writes.ts';
import { policyOf } from '../policy/instance-policy.ts';
import { openInstance } from '../workers/instance-context.ts';
import { connectClient } from '../workers/temporal-connection.ts';
import type { UnfenceResult } from '../workflows/unfence-instance.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { runWorkflow, timedId } from './run-workflow.ts';

/** Gives everybody back the rights from before a fence whose run is gone. */
export async function unfence(
  context: CliContext,
  options: { withoutTemporal?: boolean },
  instance: string,
): Promise<ExitCode> {
  const effective = await effectiveConfig(context);
  policyOf(effective.config, instance);
  const fence = options.withoutTemporal ? await here(context, instance) : await byWorkflow(context, instance);
  context.output.answer(sentencesOf(instance, fence), { instance, fence });
  return 0;
}

async function byWorkflow(context: CliContext, instance: string): Promise<UnfenceReport> {
  const { temporal } = await effectiveConfig(context);
  const client = await connectClient(temporal);
  try {
    const result = await runWorkflow<UnfenceResult>(client, context, {
      type: 'unfenceInstance',
      workflowId: timedId('unfence', instance),
      summary: `Unfencing of ${instance}`,
      input: { instance },
    });
    return result.fence;
  } finally {
    await client.connection.close();
  }
}

async function here(context: CliContext, instance: string): Promise<UnfenceReport> {
  const { config, home } = await effectiveConfig(context);
  const role = policyOf(config, instance).source === 'agent' ? 'host' : 'orchestrator';
  const open = openInstance({ config, env: context.env, home: join(home, role) });
  const { target, repository, home: roleHome } = await open({ instance });
  const io = { signal: context.signal, onProgress: () => undefined };
  const undone = await unfenceWrites(target, { repository, instance, home: roleHome }, io);
  if (undone) return undone;
  throw new RewindError('FENCE_UNKNOWN', `No fence of ${instance} is open.`);
}

function sentencesOf(instance: string, { restored, asBefore, gone, changed, fencedMs, notes }: UnfenceReport): string {
  return [
    `${instance} is unfenced after ${Math.round(fencedMs / 1_000)} s: ${restored.length + asBefore.length} users have the rights from before`,
    ...(gone.length > 0 ? [`  deleted meanwhile, and left so: ${gone.join(', ')}`] : []),
    ...(changed.length > 0 ? [`  changed meanwhile, and kept so but for their commands: ${changed.join(', ')}`] : []),
    ...notes.map((note) => `  ${note}`),
  ].join('\n');
}
