import { failureOf } from '../check/failure-of.ts';
import type { Finding } from '../check/finding.ts';
import { findingsOf } from '../check/findings-of.ts';
import { isFailure } from '../check/observed.ts';
import { instancesInForce, policyOf } from '../policy/instance-policy.ts';
import { planSchedules } from '../schedules/reconcile.ts';
import { wantedSchedules } from '../schedules/wanted.ts';
import { connectClient } from '../workers/temporal-connection.ts';
import { observe, type TemporalSeen } from './check/observe.ts';
import { type EffectiveConfig, effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { wrap } from './wrap.ts';

/** Is an instance recoverable as it stands? 0 where nothing was found but what is merely worth knowing, else 3. */
export async function check(context: CliContext, _options: object, name?: string): Promise<ExitCode> {
  const effective = await effectiveConfig(context);
  const { config } = effective;
  if (name !== undefined) policyOf(config, name);
  const temporal = await seeTemporal(effective);
  const instances: Record<string, { findings: Finding[] }> = {};
  try {
    for (const instance of name === undefined ? instancesInForce(config) : [name]) {
      context.signal.throwIfAborted();
      context.output.log(`checking ${instance}`);
      instances[instance] = { findings: findingsOf(await observe(context, effective, temporal, instance)) };
    }
  } finally {
    if (!isFailure(temporal)) await temporal.client.connection.close();
  }
  context.output.answer(asText(instances, config.notInForce), { instances, notInForce: config.notInForce });
  const found = Object.values(instances).flatMap(({ findings }) => findings);
  return found.some(({ severity }) => severity !== 'info') ? 3 : 0;
}

/** One connection and one look at the schedules for all instances. That there is none is a finding of each. */
async function seeTemporal({ config, temporal }: EffectiveConfig): Promise<TemporalSeen> {
  let client: Awaited<ReturnType<typeof connectClient>> | undefined;
  try {
    client = await connectClient(temporal);
    return { client, schedules: await planSchedules(client, config.deployment, wantedSchedules(config)) };
  } catch (error) {
    await client?.connection.close();
    return { failure: failureOf(error) };
  }
}

function asText(instances: Readonly<Record<string, { findings: Finding[] }>>, notInForce: readonly string[]): string {
  const parts = Object.entries(instances).map(([name, { findings }]) =>
    [`${name}: ${summary(findings)}`, ...findings.map(paragraph)].join('\n'),
  );
  if (parts.length === 0) parts.push('no instance is configured; next: npm start, or name one in rewind.yaml');
  return [...parts, ...(notInForce.length > 0 ? [notInForce.join('\n')] : [])].join('\n\n');
}

function paragraph({ code, severity, consequence, fix }: Finding): string {
  // A command stays on one line, to be copied.
  return `\n  ${severity.toUpperCase().padEnd(7)} ${code}\n${wrap(consequence, 4)}\n    fix: ${fix}`;
}

function summary(findings: readonly Finding[]): string {
  const counted = (['error', 'warning'] as const).flatMap((severity) => {
    const count = findings.filter((finding) => finding.severity === severity).length;
    return count === 0 ? [] : [`${count} ${severity}${count === 1 ? '' : 's'}`];
  });
  return counted.length > 0 ? counted.join(', ') : 'recoverable as it stands';
}
